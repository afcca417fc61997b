import { describe, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { downloadBytes, findKnownModel, listKnownModels, parseKnownModel } from '../../src/store/known-models.ts';

describe('the models that come with the program', () => {
  test('are all valid, in the order of their ids', async () => {
    const ids = (await listKnownModels()).map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted());
    expect(ids).toEqual(
      expect.arrayContaining(['blip2-opt-2.7b', 'instructblip-vicuna-7b', 'minigpt4-llama2-7b', 'tinygpt-v']),
    );
    expect(ids).toHaveLength(18);
  });

  test('that begin with the same word differ in what is fetched', async () => {
    const sources = (await listKnownModels()).map((model) => JSON.stringify(model.sources));
    expect(new Set(sources).size).toBe(sources.length);
  });

  test('made from several sources have them in the order of their overlay', async () => {
    const model = await findKnownModel('tinygpt-v');
    const names = model?.sources.map((source) => (source.kind === 'address' ? source.name : source.repository));
    expect(names).toEqual([
      'eva_vit_g.pth',
      'blip2_pretrained_flant5xxl.pth',
      'microsoft/phi-2',
      'Tyrannosaurus/TinyGPT-V',
    ]);
  });

  test('MiniGPT-4 without a Q-Former is fetched without one', async () => {
    const model = await findKnownModel('minigpt4-llama2-7b');
    expect(JSON.stringify(model?.sources)).not.toContain('flant5xxl');
  });
});

const VALID = {
  schema: 1,
  id: 'x',
  family: 'blip2-opt',
  description: 'd',
  licence: 'l',
  terms: 't',
  sources: [
    { repository: 'org/name', bytes: 5 },
    { url: 'https://example.org/a/b.pth?x=1', bytes: 7 },
  ],
};
const parse = (changes: object) => parseKnownModel(JSON.stringify({ ...VALID, ...changes }), '/models/x.json');

test('a declaration is read with its defaults', () => {
  const model = parse({});
  expect(model.sources).toEqual([
    { kind: 'checkpoint', repository: 'org/name', revision: 'main', format: undefined, bytes: 5 },
    { kind: 'address', url: 'https://example.org/a/b.pth?x=1', name: 'b.pth', bytes: 7 },
  ]);
  expect(downloadBytes(model)).toBe(12);
});

test('the size of a download with an unknown part is unknown', () => {
  expect(
    downloadBytes(parse({ sources: [...VALID.sources, { repository: 'a/b', files: ['c.pth'] }] })),
  ).toBeUndefined();
});

test.each([
  ['another schema', { schema: 2 }, /schema should be 1/],
  ['an id that is not the name of the file', { id: 'y' }, /id should be the name of the file/],
  ['a family that nobody knows', { family: 'llava' }, /family should be one of blip2-opt/],
  ['an unknown key', { sha256: 'x' }, /the key sha256 is not known/],
  ['no sources', { sources: [] }, /nothing to download/],
  [
    'an unknown key of a source',
    { sources: [{ repository: 'a/b', branch: 'main' }] },
    /sources\[0\]\.branch is not known/,
  ],
  [
    'an address that is not secure',
    { sources: [{ url: 'http://example.org/a.pth' }] },
    /url should be an address that begins with https/,
  ],
  ['an address without a name', { sources: [{ url: 'https://example.org/' }] }, /name should be the name of a file/],
  [
    'a name that leads elsewhere',
    { sources: [{ url: 'https://example.org/a', name: '../a' }] },
    /name should be the name of a file/,
  ],
  [
    'files that lead elsewhere',
    { sources: [{ repository: 'a/b', files: ['../a'] }] },
    /files should be a list of names/,
  ],
  [
    'what is no repository',
    { sources: [{ repository: 'name' }] },
    /repository should be a repository such as org\/name/,
  ],
  [
    'an unknown format of weights',
    { sources: [{ repository: 'a/b', weights: 'gguf' }] },
    /weights should be one of safetensors, pytorch/,
  ],
])('%s is refused', (_, changes, message) => {
  expect(() => parse(changes)).toThrow(PackError);
  expect(() => parse(changes)).toThrow(message);
});
