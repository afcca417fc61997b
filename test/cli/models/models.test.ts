/** `minigpt models …` through the built binary, with a data folder of its own. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { lastLine, minigpt, placePhoto, records, ROOT, temporaryFolder } from '../binary.ts';

const fixture = join(ROOT, 'test/fixtures/hf-blip2-opt');
let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});

/** The program's data folder is `.minigpt` in the test's own folder. */
const run = async (...args: string[]) => minigpt(folder, args);
const importTiny = async () => run('models', 'import', join(fixture, 'model'), '--as', 'tiny');

test('a checkpoint becomes a pack that is listed, shown, verified and used by its id', async () => {
  const imported = await importTiny();
  expect(imported.stdout).toBe('');
  expect(imported.stderr).toContain('blip2-opt, 183 tensors; 1.8 MB as fp32');
  expect([lastLine(imported.stderr), imported.code]).toEqual([
    expect.stringMatching(/^minigpt: imported as tiny in /),
    0,
  ]);

  const listed = await run('models', 'list');
  expect(listed.stdout).toMatch(/^id +family +stored as +size +where\n/);
  expect(listed.stdout).toMatch(/^tiny +blip2-opt +fp32 +1\.9 MB +/m);
  expect(listed.stdout).toMatch(/^nano +blip2-opt +int12 +20\.0 MB +embedded$/m);

  const shown = await run('models', 'show', 'tiny');
  expect(shown.stdout).toContain('3 layers of 64, 4 heads, 512 tokens, 256 positions');
  expect(shown.stdout).toContain('model-00001-of-00004.safetensors');

  const verified = await run('models', 'verify', 'tiny');
  expect([lastLine(verified.stdout), verified.code]).toEqual(['tiny: all files are unchanged.', 0]);

  placePhoto(join(folder, 'a.jpg'), 0);
  const captioned = await run('caption', 'a.jpg', '--model', 'tiny', '--details');
  expect(records(captioned.stdout)).toMatchObject([
    { image: 'a.jpg', model: expect.stringMatching(/^tiny@[0-9a-f]{12}$/) },
  ]);
});

test('verify --golden prints every stage and the token ids, and passes', async () => {
  await importTiny();
  const { stdout, code } = await run('models', 'verify', 'tiny', '--golden', fixture);
  for (const stage of ['vision', 'Q-Former', 'projection', 'prompt embeddings', 'first logits', 'step logits']) {
    expect(stdout).toMatch(new RegExp(`^${stage}.* ok$`, 'm'));
  }
  expect(stdout).toMatch(/reversed, continuous batch of 5 +(\d+) of \1 \(100\.0 %\) +ok$/m);
  expect(code).toBe(0);
});

test('verify --golden ends with 1 when a stage is outside --atol, and names it', async () => {
  await importTiny();
  const { stdout, code } = await run('models', 'verify', 'tiny', '--golden', fixture, '--atol', '1e-9');
  expect(stdout).toMatch(/^vision .*OUTSIDE$/m);
  expect(code).toBe(1);
});

test('a pack whose weights were altered fails its check, naming the file', async () => {
  await importTiny();
  appendFileSync(join(folder, '.minigpt/models/tiny/decoder.onnx.data'), 'x');
  const { stdout, code } = await run('models', 'verify', 'tiny');
  expect(stdout).toMatch(/^decoder\.onnx\.data .* differs$/m);
  expect([lastLine(stdout), code]).toEqual(['tiny: 1 of 10 files differ. Import the model again.', 1]);
});

test('a damaged graph is refused before the first image, with exit code 2', async () => {
  await importTiny();
  writeFileSync(join(folder, '.minigpt/models/tiny/decoder.onnx'), 'no graph');
  placePhoto(join(folder, 'a.jpg'), 0);
  const { stdout, stderr, code } = await run('caption', 'a.jpg', '--model', 'tiny');
  expect([stdout, code]).toEqual(['', 2]);
  expect(lastLine(stderr)).toMatch(/decoder\.onnx: ONNX Runtime cannot load this graph/);
});

/** What lies where packs lie. */
function packs(): string[] {
  const models = join(folder, '.minigpt/models');
  return existsSync(models) ? readdirSync(models) : [];
}

describe('an import that fails leaves nothing behind', () => {
  test('when the folder is no checkpoint', async () => {
    mkdirSync(join(folder, 'empty'));
    const { stderr, code } = await run('models', 'import', 'empty', '--as', 'x');
    expect(stderr).toMatch(/empty: expected weights \(model\.safetensors, .* or a tokenizer; found neither/);
    expect([code, packs()]).toEqual([2, []]);
  });

  test('when a shard is missing', async () => {
    await cp(join(fixture, 'model'), join(folder, 'model'), { recursive: true });
    rmSync(join(folder, 'model/model-00003-of-00004.safetensors'));
    const { stderr, code } = await run('models', 'import', 'model', '--as', 'x');
    expect(stderr).toMatch(/model-00003-of-00004\.safetensors: this shard is missing/);
    expect([code, packs()]).toEqual([2, []]);
  });

  // It was imported, for minutes, and then could not be run.
  test('when the tokenizer cannot write what ends an answer, before any weight is written', async () => {
    const source = join(ROOT, 'test/fixtures/minigpt4-vicuna');
    await cp(join(source, 'vicuna'), join(folder, 'vicuna'), { recursive: true });
    const other = join(ROOT, 'test/fixtures/tokenizers/tiny-llama');
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      await cp(join(other, name), join(folder, 'vicuna', name));
    }
    const files = ['eva_vit_g.pth', 'blip2_pretrained_flant5xxl.pth', 'pretrained_minigpt4_7b.pth'];
    const [vit, qformer, project] = files.map((name) => join(source, name));
    const sources = [vit ?? '', qformer ?? '', 'vicuna', project ?? ''];
    const config = ['--config', join(source, 'architecture.json')];
    const { stderr, code } = await run('models', 'import', ...sources, ...config, '--as', 'x');
    expect(lastLine(stderr)).toMatch(
      /, vicuna, .*: tokenizer\.json: its vocabulary has no "▁###" or "##" \+ "#", which ends an answer/,
    );
    expect([code, packs()]).toEqual([2, []]);
  });

  test('when the id is taken, and the pack that has it stays as it is', async () => {
    await importTiny();
    const before = readFileSync(join(folder, '.minigpt/models/tiny/model.json'), 'utf8');
    const { stderr, code } = await importTiny();
    expect(stderr).toMatch(/already exists/);
    expect([code, packs()]).toEqual([2, ['tiny']]);
    expect(readFileSync(join(folder, '.minigpt/models/tiny/model.json'), 'utf8')).toBe(before);
  });
});

test.each([
  [['models', 'import', 'x'], /--as/],
  [['models', 'import', 'x', '--as', 'y', '--precision', 'int3'], /fp32, fp16, int12/],
  [['models', 'show', 'nobody'], /nobody/],
  [['models', 'verify', 'nano', '--atol', '0.1'], /--golden/],
  [['models', 'verify', 'nano', '--golden', 'nowhere'], /golden\.json: this file cannot be read/],
  [['models', 'rm', 'nano'], /nano is part of minigpt and cannot be removed/],
])('%j is refused with exit code 2', async (args, message) => {
  const { stdout, stderr, code } = await run(...args);
  expect([stdout, code]).toEqual(['', 2]);
  expect(stderr).toMatch(message);
});
