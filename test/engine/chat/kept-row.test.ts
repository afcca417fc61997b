import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeptRow } from '../../../src/engine/chat/kept-row.ts';
import type { ImagePrompt } from '../../../src/engine/prompt-embeds.ts';
import { fakeEncoderDecoder } from '../fake-encoder-decoder.ts';
import { logitsAfter } from '../fake-decoder.ts';
import { rememberingDecoder } from './remembering-decoder.ts';

const LIMIT = 2048;

/** A prompt with an image behind its first segment. */
function promptOf(before: readonly number[], image: readonly number[], behind: readonly number[]): ImagePrompt {
  return { segments: [before, null, behind], imageTokens: Float32Array.from(image) };
}

/** As the model gives them, in single precision. */
function expectedLogits(history: readonly number[]): number[] {
  return [...Float32Array.from(logitsAfter(history))];
}

const ids = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 6 });
const image = fc.array(fc.integer({ min: 5, max: 6 }), { minLength: 1, maxLength: 3 });
const turn = fc.record({
  before: ids,
  image,
  behind: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1 }),
  written: ids,
});

describe('a row that is kept between turns', () => {
  test('says what one that reads everything anew would say, whatever was read and written before', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(turn, { maxLength: 6 }), async (turns) => {
        const row = new KeptRow(rememberingDecoder(LIMIT));
        for (const { before, image: tokens, behind, written } of turns) {
          const history = [...before, ...tokens, ...behind];
          const start = await row.read(promptOf(before, tokens, behind));
          expect([...(start?.logits ?? [])]).toEqual(expectedLogits(history));
          expect(start?.length).toBe(history.length);
          for (const id of written) {
            const logits = await row.step(id, history.length);
            history.push(id);
            expect([...logits]).toEqual(expectedLogits(history));
          }
        }
      }),
    );
  });

  test('reads only what is new of a prompt that goes on from the last one and its answer', async () => {
    const row = new KeptRow(rememberingDecoder(LIMIT));
    expect((await row.read(promptOf([1, 2], [7, 8], [3])))?.read).toBe(5);
    await row.step(4, 5);
    await row.step(5, 6);
    expect((await row.read(promptOf([1, 2], [7, 8], [3, 4, 5, 6, 7])))?.read).toBe(2);
  });

  test('reads an answer again from where its ids differ from those that were written', async () => {
    const row = new KeptRow(rememberingDecoder(LIMIT));
    await row.read(promptOf([1], [7], [3]));
    for (const [index, id] of [4, 5, 6].entries()) await row.step(id, 3 + index);
    expect((await row.read(promptOf([1], [7], [3, 4, 9, 6])))?.read).toBe(2);
  });

  test('reads the last position again where nothing is new', async () => {
    const row = new KeptRow(rememberingDecoder(LIMIT));
    await row.read(promptOf([1], [7], [3]));
    expect((await row.read(promptOf([1], [7], [3])))?.read).toBe(1);
  });

  test('reads everything from the image on where that is another one', async () => {
    const row = new KeptRow(rememberingDecoder(LIMIT));
    await row.read(promptOf([1, 2], [7, 8], [3]));
    const start = await row.read(promptOf([1, 2], [7, 9], [3]));
    expect(start?.read).toBe(3);
    expect([...(start?.logits ?? [])]).toEqual(expectedLogits([1, 2, 7, 9, 3]));
  });

  test('reads a long prompt in pieces of 256 positions', async () => {
    const model = rememberingDecoder(LIMIT);
    const row = new KeptRow(model);
    const behind = Array.from({ length: 600 }, (_, index) => 1 + (index % 9));
    const start = await row.read(promptOf([1], [7], behind));
    expect(model.reads).toEqual([256, 256, 90]);
    expect([...(start?.logits ?? [])]).toEqual(expectedLogits([1, 7, ...behind]));
  });

  test('keeps what it has read when it is stopped in the middle of a long prompt', async () => {
    const stop = new AbortController();
    const model = rememberingDecoder(LIMIT, () => stop.abort());
    const row = new KeptRow(model);
    const behind = Array.from({ length: 300 }, () => 2);
    expect(await row.read(promptOf([1], [7], behind), stop.signal)).toBeUndefined();
    const start = await row.read(promptOf([1], [7], behind));
    expect(start?.read).toBe(302 - 256);
    expect([...(start?.logits ?? [])]).toEqual(expectedLogits([1, 7, ...behind]));
  });

  test('relies on nothing that a failed run may have left', async () => {
    const model = rememberingDecoder(LIMIT);
    const row = new KeptRow(model);
    await row.read(promptOf([1], [7], [3, 4, 5]));
    model.failNext = true;
    await expect(row.read(promptOf([1], [7], [3, 9, 9]))).rejects.toThrow('out of memory');
    const start = await row.read(promptOf([1], [7], [3, 4, 5]));
    expect(start?.read).toBe(2);
    expect([...(start?.logits ?? [])]).toEqual(expectedLogits([1, 7, 3, 4, 5]));
  });

  test('reads every prompt as a whole where an encoder does', async () => {
    const row = new KeptRow(fakeEncoderDecoder());
    expect(await row.read(promptOf([1], [7], [3]))).toMatchObject({ length: 1, read: 3 });
    expect(await row.read(promptOf([1], [7], [3, 4]))).toMatchObject({ length: 1, read: 4 });
  });
});
