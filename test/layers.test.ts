import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { fileCircles, folderCircles, importsOf, violations } from './layer-rule.ts';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path: path.replaceAll(sep, '/'), text: readFileSync(join(SRC, path), 'utf8') }));

test('every file of src keeps the layers', () => {
  expect(sources.length).toBeGreaterThan(10);
  expect(sources.flatMap(violations)).toEqual([]);
});

test('no file of src leads back to itself by what it imports', () => {
  expect(fileCircles(sources)).toEqual([]);
});

test('no folder of the importer leads back to itself by what its files import', () => {
  const importer = sources.filter(({ path }) => path.startsWith('importer/'));
  expect(new Set(importer.map(({ path }) => dirname(path))).size).toBeGreaterThan(4);
  expect(folderCircles(importer)).toEqual([]);
});

test('the imports of src are really seen', () => {
  const seen = sources.flatMap(({ text }) => importsOf(text).map(({ specifier }) => specifier));
  for (const specifier of ['../errors.ts', '@huggingface/tokenizers', 'node:path', './object-reader.ts']) {
    expect(seen).toContain(specifier);
  }
});

describe('an import is found when it is', () => {
  test.each([
    ['plain', "import { a } from './a.ts';", 'static'],
    ['for its effect', "import './a.ts';", 'static'],
    ['a default and a namespace', "import a, * as b from './a.ts';", 'static'],
    ['over several lines', "import {\n  a,\n  type B,\n} from './a.ts';", 'static'],
    ['type-only', "import type { A } from './a.ts';", 'type'],
    ['a re-export', "export { a } from './a.ts';", 'static'],
    ['a re-export of all', "export * from './a.ts';", 'static'],
    ['a re-export of a type', "export type { A } from './a.ts';", 'type'],
    ['dynamic', "  const { a } = await import('./a.ts');", 'dynamic'],
    ['dynamic over lines', "  const a = await import(\n    './a.ts'\n  );", 'dynamic'],
    ['the type of a module', "let a: import('./a.ts').A;", 'dynamic'],
    ['a worker', "new Worker(new URL('./a.ts', import.meta.url))", 'dynamic'],
    ['in double quotes', 'import { a } from "./a.ts";', 'static'],
  ] as const)('%s', (_, text, kind) => {
    expect(importsOf(`const before = 1;\n${text}\n`)).toEqual([{ specifier: './a.ts', kind }]);
  });

  test('but not in a comment, and import.meta is none', () => {
    const text =
      "/**\n * import { a } from 'a';\n * await import('a')\n */\n// import 'a';\nconst url = import.meta.url;\n";
    expect(importsOf(text)).toEqual([]);
  });
});

const files = (texts: Record<string, string>) => Object.entries(texts).map(([path, text]) => ({ path, text }));

describe('a circle', () => {
  test('of two files is found', () => {
    const circling = files({ 'a/x.ts': "import { y } from './y.ts';", 'a/y.ts': "import { x } from './x.ts';" });
    expect(fileCircles(circling)).toEqual(['a/x.ts -> a/y.ts -> a/x.ts']);
    expect(folderCircles(circling)).toEqual([]);
  });

  test('of types is one too', () => {
    const circling = files({ 'a/x.ts': "import { y } from './y.ts';", 'a/y.ts': "import type { X } from './x.ts';" });
    expect(fileCircles(circling)).toHaveLength(1);
  });

  test('of a file with itself is found', () => {
    expect(fileCircles(files({ 'a.ts': "export * from './a.ts';" }))).toEqual(['a.ts -> a.ts']);
  });

  test('over several files is told by its shortest way', () => {
    const circling = files({
      'a.ts': "import './b.ts';",
      'b.ts': "import './c.ts';\nimport './d.ts';",
      'c.ts': "import './d.ts';",
      'd.ts': "import './a.ts';",
      'e.ts': "import './a.ts';",
    });
    expect(fileCircles(circling)).toEqual(['a.ts -> b.ts -> d.ts -> a.ts', 'c.ts -> d.ts -> a.ts -> b.ts -> c.ts']);
  });

  test('of folders is found where no file is in one', () => {
    const circling = files({
      'a/x.ts': "import '../b/y.ts';",
      'b/y.ts': '',
      'b/z.ts': "import '../a/w.ts';",
      'a/w.ts': '',
    });
    expect(fileCircles(circling)).toEqual([]);
    expect(folderCircles(circling)).toEqual(['a -> b -> a']);
  });

  test('of a folder with one inside it is found', () => {
    const circling = files({ 'a/x.ts': "import './b/y.ts';", 'a/b/y.ts': "import '../z.ts';", 'a/z.ts': '' });
    expect(folderCircles(circling)).toEqual(['a -> a/b -> a']);
  });

  test('is none where something is loaded only when it is needed, or by several', () => {
    const circling = files({
      'a.ts': "const y = await import('./b.ts');\nimport './c.ts';",
      'b.ts': "import './a.ts';\nimport './c.ts';\nimport 'node:path';",
      'c.ts': '',
    });
    expect(fileCircles(circling)).toEqual([]);
  });
});

describe('refused is', () => {
  test.each([
    ['an import from a higher layer', 'vision/encode.ts', "import { a } from '../engine/model.ts';"],
    ['an import from another folder of the layer', 'output/csv.ts', "import { a } from '../images/decode.ts';"],
    ['a type from a higher layer', 'pack/a.ts', "import type { A } from '../prompt/a.ts';"],
    ['a type import in place', 'pack/a.ts', "let a: import('../prompt/a.ts').A;"],
    ['a re-export from a higher layer', 'tensor/a.ts', "export * from '../store/a.ts';"],
    ['an import between folders of layer 0', 'pack/a.ts', "import { a } from '../tensor/a.ts';"],
    ['an import of what is outside of src', 'cli/main.ts', "import { a } from '../../test/a.ts';"],
    ['an import of what cannot be read', 'cli/main.ts', 'await import(name);'],
    ['the importer in a higher layer', 'pipeline/run.ts', "await import('../importer/a.ts');"],
    ['the importer loaded with the command line', 'cli/models/import.ts', "import { a } from '../../importer/a.ts';"],
    ['a runner part in the importer', 'importer/a.ts', "import { a } from '../store/packs.ts';"],
    ['onnxruntime-node outside of runtime', 'language/a.ts', "import type { Tensor } from 'onnxruntime-node';"],
    ['sharp outside of images', 'cli/doctor.ts', "await import('sharp');"],
    ['protobuf outside of the graph builder', 'importer/read/a.ts', "import { create } from '@bufbuild/protobuf';"],
    ['a part of such a package', 'cli/a.ts', "import a from 'sharp/lib/a.js';"],
    ['a vague name', 'images/utils.ts', ''],
    ['a vague end of a name', 'images/pixel-helpers.ts', ''],
    ['a file of no layer', 'new-folder/a.ts', ''],
    ['a file that is too long', 'images/a.ts', '\n'.repeat(401)],
    ['a long file whose name alone says generated', 'importer/graph/generated.ts', '\n'.repeat(401)],
    ['a generated file that leaves its layer', 'importer/graph/generated/a.ts', "import '../../../store/a.ts';"],
  ])('%s', (_, path, text) => {
    expect(violations({ path, text })).toHaveLength(1);
  });
});

describe('allowed is', () => {
  test.each([
    ['a lower layer', 'cli/main.ts', "import { a } from '../store/packs.ts';\nimport { b } from '../errors.ts';"],
    [
      'the own folder',
      'importer/graph/a.ts',
      "import { a } from '../read/a.ts';\nimport { b } from '../../tensor/a.ts';",
    ],
    ['the importer when the command needs it', 'cli/models/import.ts', "await import('../../importer/import.ts');"],
    ['a package at home', 'runtime/session.ts', "import * as ort from 'onnxruntime-node';"],
    ['a long file at the limit', 'images/a.ts', '\n'.repeat(400)],
    ['generated code of any length', 'importer/graph/generated/onnx_pb.ts', '\n'.repeat(2000)],
  ])('%s', (_, path, text) => {
    expect(violations({ path, text })).toEqual([]);
  });
});
