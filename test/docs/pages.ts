/** The pages of the documentation, and what tests read out of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** README.md, CONTRIBUTING.md and every page in docs/, relative to the root. */
export const pages: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(`${ROOT}/docs`, { recursive: true, encoding: 'utf8' })
    .map((path) => `docs/${path.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.md'))
    .toSorted(),
];

export function readPage(path: string): string {
  return readFileSync(`${ROOT}/${path}`, 'utf8');
}

/** The prose of a page: without blocks of code, fenced or indented. */
export function proseOf(markdown: string): string {
  return markdown.replaceAll(/^( *)(```|~~~)[^]*?^\1\2 *$/gm, '').replaceAll(/^\n(?: {4}.*\n|\n)+/gm, '\n');
}

/** What stands in backticks in the prose. */
export function codeSpansOf(prose: string): string[] {
  return Array.from(prose.matchAll(/(`+)(.+?)\1(?!`)/g), (match) => match[2] ?? '');
}

function isRow(line: string): boolean {
  return line.startsWith('|');
}

/** The line of dashes below the header of a table. */
function isRule(line: string | undefined): boolean {
  return /^\|(?: *:?-+:? *\|)+$/.test(line ?? '');
}

/** The cells of every table row that is neither a header nor its rule, without white space around them. */
export function tableRowsOf(markdown: string): string[][] {
  const lines = markdown.split('\n');
  return lines
    .filter((line, index) => isRow(line) && !isRule(line) && !isRule(lines[index + 1]))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll(String.raw`\|`, '|')),
    );
}

/** The part of a page between a heading and the next one of its level or above. */
export function sectionOf(markdown: string, heading: string): string {
  const lines = markdown.split('\n');
  const start = lines.findIndex((line) => line === heading);
  if (start < 0) throw new RangeError(`the page has no heading "${heading}"`);
  const level = heading.indexOf(' ');
  const end = lines.findIndex((line, index) => index > start && /^#+ /.test(line) && line.indexOf(' ') <= level);
  return lines.slice(start + 1, end < 0 ? undefined : end).join('\n');
}
