/** Packs whose parts do not belong together, through the built binary. They let a run hang for ever, without a word. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeMisfitPack } from '../../misfit-pack.ts';
import { lastLine, minigpt, placePhoto, records, temporaryFolder, type Finished } from '../binary.ts';

let folder: string;

beforeAll(() => {
  folder = temporaryFolder();
  for (const index of [0, 1, 2]) placePhoto(join(folder, `photos/${index}.jpg`), index);
  makeMisfitPack(join(folder, 'other-width'), { hidden_size: 128 }, 'stated');
  makeMisfitPack(join(folder, 'other-heads'), { num_key_value_heads: 8, head_dim: 32 }, 'stated');
  makeMisfitPack(join(folder, 'silent'), { num_key_value_heads: 8, head_dim: 32 }, 'open');
});

const run = async (args: string[], input?: string): Promise<Finished> => minigpt(folder, args, input);

describe('a pack whose graphs state other sizes than model.json is refused when it is loaded:', () => {
  test.each([
    [
      ['caption', 'photos'],
      'other-width',
      'qformer.onnx: the graph has image_tokens of shape [B, 32, 256]',
      '[B, 32, 128]',
    ],
    [
      ['ask', 'photos', '-q', 'Why?'],
      'other-heads',
      'has past_key_values.0.key of shape [B, 4, C, 64]',
      '[B, 8, C, 32]',
    ],
    [['chat', 'photos/0.jpg'], 'other-heads', 'decoder.onnx: the graph has past_key_values.0.key', '[B, 8, C, 32]'],
  ])('%j with %s', async (args, model, found, expected) => {
    const { stdout, stderr, code } = await run([...args, '--model', model], 'Why?\n');
    expect(lastLine(stderr)).toContain(found);
    expect(lastLine(stderr)).toContain(`and the rest of the pack needs ${expected}. Import the model again.`);
    expect([stdout, code]).toEqual(['', 2]);
  });
});

describe('a pack whose graphs fail when prompts are read', () => {
  test('fails for every image, which has its record', async () => {
    const { stdout, stderr, code } = await run(['caption', 'photos', '--model', 'silent']);
    expect(records(stdout).map(({ image, error }) => [image, error])).toEqual(
      ['photos/0.jpg', 'photos/1.jpg', 'photos/2.jpg'].map((image) => [
        image,
        { code: 'internal', message: expect.stringContaining('the model could not be run on this image: ') },
      ]),
    );
    expect(lastLine(stderr)).toMatch(/^minigpt: 0 images captioned, 3 failed, in /);
    // Nothing but our own lines: the library reports by throwing.
    for (const line of stderr.trimEnd().split('\n')) expect(line).toMatch(/^minigpt: /);
    expect(code).toBe(1);
  });

  test('fails for every question about an image', async () => {
    const questions = ['-q', 'What?', '-q', 'Why?'];
    const { stdout, code } = await run(['ask', 'photos/0.jpg', ...questions, '--model', 'silent']);
    expect(records(stdout)).toMatchObject([
      { question: 'What?', error: { code: 'internal' } },
      { question: 'Why?', error: { code: 'internal' } },
    ]);
    expect(code).toBe(1);
  });

  test('fails for every question of a conversation', async () => {
    const { stdout, code } = await run(['chat', 'photos/0.jpg', '--model', 'silent'], 'What?\nWhy?\n');
    expect(records(stdout)).toMatchObject([
      { question: 'What?', error: { code: 'internal' } },
      { question: 'Why?', error: { code: 'internal' } },
    ]);
    expect(code).toBe(1);
  });
});
