/** Links and paths in the documentation lead somewhere. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { codeSpansOf, pages, proseOf, readPage, ROOT } from './pages.ts';

/** Links of a page, without those to other hosts. */
function linksOf(prose: string): string[] {
  const withoutCode = prose.replaceAll(/(`+).+?\1(?!`)/g, '');
  return Array.from(withoutCode.matchAll(/\]\(([^()\s]+)\)/g), (match) => match[1] ?? '').filter(
    (target) => !/^[a-z]+:/.test(target),
  );
}

/** The anchors that the headings of a page get, as GitHub makes them: each heading once, with a number where it stands again. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(markdown).matchAll(/^#+ +(.*)$/gm)) {
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = words.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(/\s/g, '-');
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

/** What is wrong with a link of a page; undefined where it leads somewhere. */
function linkProblem(page: string, link: string): string | undefined {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : posix.join(posix.dirname(page), decodeURI(path));
  if (!existsSync(`${ROOT}/${target}`)) return `${link} leads to ${target}, which does not exist`;
  if (anchor === undefined) return undefined;
  if (!target.endsWith('.md')) return `${link} names a heading of what is no page`;
  return anchorsOf(readPage(target)).has(anchor) ? undefined : `${link}: ${target} has no heading #${anchor}`;
}

const foldersIn = (path: string): string[] =>
  readdirSync(`${ROOT}/${path}`).filter((name) => statSync(`${ROOT}/${path}/${name}`).isDirectory());
const sourceFolders = foldersIn('src');
const rootFolders = foldersIn('.');

/** Whether a span of code names a file or folder of this repository. Names in capitals and patterns stand for others. */
function isPath(span: string): boolean {
  if (!/^[\w.@-]+(?:\/[\w.@-]+)*\/?$/.test(span) || !span.includes('/')) return false;
  const [first = ''] = span.split('/');
  if (!rootFolders.includes(first) && !sourceFolders.includes(first)) return false;
  return !/(?:^|[/.])[A-Z]{2,}(?:$|[/.])/.test(span.replaceAll(/README\.md|CHANGELOG\.md|LICENSE/g, ''));
}

function exists(span: string): boolean {
  return existsSync(`${ROOT}/${span}`) || existsSync(`${ROOT}/src/${span}`);
}

test('the pages are found, and so are their links, paths and headings', () => {
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/cli.md', 'docs/reference/README.md']));
  expect(linksOf('See [a](b.md#c), `[no](d.md)` and [far](https://example.org).')).toEqual(['b.md#c']);
  expect(linkProblem('docs/cli.md', 'missing.md')).toContain('does not exist');
  expect(linkProblem('docs/cli.md', '#no-such-heading')).toContain('no heading');
  expect(isPath('src/cli/main.ts')).toBe(true);
  expect(isPath('images/decode.ts')).toBe(true);
  expect(isPath('prompts/FAMILY.json')).toBe(false);
  expect(isPath('minigpt4/demo.py')).toBe(false);
  expect(exists('images/no-such-file.ts')).toBe(false);
  expect([...anchorsOf('# One `two`: three\n## One two three\n```\n# no\n```\n')]).toEqual([
    'one-two-three',
    'one-two-three-1',
  ]);
});

describe.each(pages)('in %s', (page) => {
  const prose = proseOf(readPage(page));

  test('every link leads to a file and a heading that exist', () => {
    expect(linksOf(prose).flatMap((link) => linkProblem(page, link) ?? [])).toEqual([]);
  });

  test('every path in backticks exists', () => {
    expect(codeSpansOf(prose).filter((span) => isPath(span) && !exists(span))).toEqual([]);
  });
});

test('docs/architecture.md has a line for every folder of src', () => {
  const rows = readPage('docs/architecture.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => codeSpansOf(row.split('|')[1] ?? ''));
  expect(sourceFolders.filter((folder) => !named.includes(`${folder}/`))).toEqual([]);
});
