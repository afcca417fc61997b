/**
 * The layer rule of docs/architecture.md as a function: which imports a file of src may have.
 *
 * Import statements are found by regular expressions, as TypeScript's native compiler offers no parser. The formatter puts every statement at
 * the start of a line, so that is where they are looked for; `import()` is found anywhere outside of comments.
 */
import { posix } from 'node:path';

export type Import = { specifier: string; kind: 'static' | 'type' | 'dynamic' };

/** A source file: its path below src, with `/`, and its text. */
export type Source = { path: string; text: string };

const LAYERS: Readonly<Record<string, number>> = {
  'index.ts': 5,
  cli: 5,
  pipeline: 4,
  engine: 3,
  vision: 2,
  language: 2,
  images: 1,
  prompt: 1,
  tokenizer: 1,
  output: 1,
  store: 1,
  runtime: 1,
  pack: 0,
  tensor: 0,
  threads: 0,
  // The docs count it to layer 0; being below the folders of that layer, all of them may throw its errors.
  'errors.ts': -1,
  'required.ts': -1,
};

/** Packages with one place that knows them. */
const HOMES: Readonly<Record<string, string>> = {
  'onnxruntime-node': 'runtime/',
  'onnxruntime-common': 'runtime/',
  sharp: 'images/',
  '@bufbuild/protobuf': 'importer/graph/',
};

const VAGUE_NAMES =
  /^(utils?|common|helpers?|types?|managers?|misc|shared)\.ts$|-(utils?|helpers?|types?|manager)\.ts$/;

const MAX_LINES = 400;

/** The folder of code that a program wrote, from a schema that lies beside it: as long as the schema asks for. */
const GENERATED = /(?:^|\/)generated\//;

/** Every import of a file. A dynamic import of something that is no literal has the specifier `?`. */
export function importsOf(text: string): Import[] {
  const imports: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s)?[^;'"]*?\bfrom\s*(['"])(.*?)\2/gm)) {
    imports.push({ specifier: match[3] ?? '', kind: match[1] === undefined ? 'static' : 'type' });
  }
  for (const match of text.matchAll(/^import\s*(['"])(.*?)\1/gm)) {
    imports.push({ specifier: match[2] ?? '', kind: 'static' });
  }
  const code = text.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
  for (const match of code.matchAll(/\bimport\s*\(\s*(?:(['"`])(.*?)\1)?/g)) {
    imports.push({ specifier: match[2] ?? '?', kind: 'dynamic' });
  }
  // A worker thread is started from the address of its file.
  for (const match of code.matchAll(/\bnew URL\(\s*(['"`])([^'"`]*\.[tj]s)\1/g)) {
    imports.push({ specifier: match[2] ?? '?', kind: 'dynamic' });
  }
  return imports;
}

/**
 * Circles of files that import each other, types included, one sentence each. What is imported when it is needed counts for none: it has to
 * do with when code is loaded, and not with what can be understood by itself.
 */
export function fileCircles(sources: readonly Source[]): string[] {
  return circles(sources, (path) => path);
}

/** The same between folders: files of one import from the other, and the other way round. */
export function folderCircles(sources: readonly Source[]): string[] {
  return circles(sources, (path) => posix.dirname(path));
}

/** @param roomOf what a file counts as: itself, or its folder */
function circles(sources: readonly Source[], roomOf: (path: string) => string): string[] {
  const next = new Map<string, Set<string>>();
  for (const { path, text } of sources) {
    for (const { specifier, kind } of importsOf(text)) {
      if (kind === 'dynamic' || !specifier.startsWith('.')) continue;
      const [from, to] = [roomOf(path), roomOf(posix.join(posix.dirname(path), specifier))];
      // Files of one folder may import each other.
      if (from !== to || path === to) next.set(from, (next.get(from) ?? new Set()).add(to));
    }
  }
  const seen = new Set<string>();
  return [...next.keys()].toSorted().flatMap((room) => {
    const way = seen.has(room) ? undefined : wayBack(room, next);
    way?.forEach((one) => seen.add(one));
    return way === undefined ? [] : [way.join(' -> ')];
  });
}

/** The shortest way from a room to itself, undefined where there is none. */
function wayBack(room: string, next: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const ways = [[room]];
  const reached = new Set<string>();
  for (const way of ways) {
    for (const to of next.get(way.at(-1) ?? room) ?? []) {
      if (to === room) return [...way, room];
      if (!reached.has(to)) ways.push([...way, to]);
      reached.add(to);
    }
  }
  return undefined;
}

/** What is wrong with a file, one sentence each; nothing where it keeps the rule. */
export function violations({ path, text }: Source): string[] {
  const found = importsOf(text).flatMap((imported) => {
    const problem = imported.specifier.startsWith('.')
      ? insideProblem(path, imported)
      : packageProblem(path, imported.specifier);
    return problem === undefined ? [] : [`${path} imports ${imported.specifier}: ${problem}`];
  });
  if (VAGUE_NAMES.test(posix.basename(path))) found.push(`${path}: the name does not say what is in the file`);
  const lines = text.split('\n').length - 1;
  if (lines > MAX_LINES && !GENERATED.test(path)) found.push(`${path} has ${lines} lines, more than ${MAX_LINES}`);
  if (folderOf(path) !== 'importer' && layerOf(path) === undefined) found.push(`${path} is in no known layer`);
  return found;
}

function insideProblem(path: string, { specifier, kind }: Import): string | undefined {
  const target = posix.join(posix.dirname(path), specifier);
  const [from, to] = [folderOf(path), folderOf(target)];
  if (target.startsWith('..')) return 'it is outside of src';
  if (from === to) return undefined;
  if (to === 'importer') {
    if (!path.startsWith('cli/models/')) return 'only cli/models may reach the importer';
    return kind === 'static' ? 'the importer is loaded by import(), only when it is needed' : undefined;
  }
  const [own, other] = [from === 'importer' ? 1 : layerOf(path), layerOf(target)];
  if (own === undefined || other === undefined) return 'it is in no known layer';
  return other < own ? undefined : `layer ${own} imports only from lower layers, not from layer ${other}`;
}

function packageProblem(path: string, specifier: string): string | undefined {
  if (specifier === '?') return 'what is imported cannot be read';
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const home = HOMES[name];
  return home === undefined || path.startsWith(home) ? undefined : `only ${home} imports ${name}`;
}

/** The top folder of a path below src, or the file itself where it lies in none. */
function folderOf(path: string): string {
  return path.split('/')[0] ?? path;
}

function layerOf(path: string): number | undefined {
  return LAYERS[folderOf(path)];
}
