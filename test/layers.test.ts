import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { importsOf, violations } from './layer-rule.ts';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path: path.replaceAll(sep, '/'), text: readFileSync(join(SRC, path), 'utf8') }));

test('every file of src keeps the layers', () => {
  expect(sources.length).toBeGreaterThan(10);
  expect(sources.flatMap(violations)).toEqual([]);
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
