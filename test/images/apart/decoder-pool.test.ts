/** Decoding in processes of its own, with the compiled entry: what is stopped, what is said, and that the next image is decoded all the same. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { DecoderPool } from '../../../src/images/apart/decoder-pool.ts';
import { ENTRY } from '../../../src/images/apart/entry.ts';
import type { ApartRequest } from '../../../src/images/apart/messages.ts';

const MASKS = 24;
/** Every mask is drawn through the next one twice: 2^24 surfaces, one after the other. */
const endless =
  '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">' +
  Array.from({ length: MASKS }, (_, index) => {
    const rect = `<rect width="9" height="9" mask="url(#m${index + 1})"/>`;
    return `<mask id="m${index}">${rect}${rect}</mask>`;
  }).join('') +
  '<rect width="9" height="9" mask="url(#m0)"/></svg>';
const drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="1"><rect width="1" height="1"/></svg>';

const pool = new DecoderPool(ENTRY, 1);

function request(svg: string, limits: Partial<ApartRequest['limits']> = {}): ApartRequest {
  return {
    kind: 'SVG',
    bytes: Buffer.from(svg),
    request: { maxPixels: 1_000_000, alpha: 'white', side: undefined, seconds: undefined },
    limits: { seconds: 20, memory: 2 ** 30, ...limits },
  };
}

async function drawnPixels(from: DecoderPool = pool): Promise<number[]> {
  return [...(await from.decode(request(drawing))).data];
}

test('an image is decoded', async () => {
  expect(await drawnPixels()).toEqual([0, 0, 0, 255, 255, 255]);
});

describe('an image is given up, and the next one decoded', () => {
  test('when it takes more computing time than it may', async () => {
    await expect(pool.decode(request(endless, { seconds: 0.5 }))).rejects.toMatchObject({
      code: 'unreadable-image',
      message:
        'decoding the SVG takes more than 0.5 seconds, so it was stopped. If you trust the file, give it more time with --decode-timeout.',
    });
    expect(await drawnPixels()).toHaveLength(6);
  });

  test('when it takes more memory than it may', async () => {
    await expect(pool.decode(request(endless, { memory: 2 ** 20 }))).rejects.toMatchObject({
      code: 'image-too-large',
      message:
        'decoding the SVG needs more than 1 MB of memory, so it was stopped. Make the image smaller, or convert it to PNG.',
    });
    expect(await drawnPixels()).toHaveLength(6);
  });

  test('when nobody wants it any more, with the reason of the signal', async () => {
    const controller = new AbortController();
    const decoding = pool.decode(request(endless), controller.signal);
    const waiting = pool.decode(request(drawing), controller.signal);
    controller.abort(new Error('stopped'));
    await expect(decoding).rejects.toThrow('stopped');
    await expect(waiting).rejects.toThrow('stopped');
    expect(await drawnPixels()).toHaveLength(6);
  });

  test('when its decoder says that it is damaged', async () => {
    await expect(pool.decode(request('<svg><rect'))).rejects.toMatchObject({ code: 'truncated-image' });
    expect(await drawnPixels()).toHaveLength(6);
  });
});

describe('a process that is not what it should be', () => {
  const folder = mkdtempSync(join(tmpdir(), 'minigpt-pool-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const poolOf = (script: string): DecoderPool => {
    const path = join(folder, 'entry.mjs');
    writeFileSync(path, script);
    return new DecoderPool(pathToFileURL(path), 1);
  };

  test('breaks down while it decodes', async () => {
    const crashing = poolOf("process.send('ready'); process.on('message', () => process.abort());");
    await expect(crashing.decode(request(drawing))).rejects.toMatchObject({
      code: 'unreadable-image',
      message: expect.stringContaining('the SVG broke its decoder; the file is probably damaged.') as string,
    });
  });

  test('cannot be started, which is not the fault of the image', async () => {
    await expect(poolOf("throw new Error('no such library')").decode(request(drawing))).rejects.toMatchObject({
      code: 'internal',
      message: 'the process that decodes the SVG could not be started (Error: no such library).',
    });
  });
});

test('as many images as there are places are decoded at one time, and the others after them', async () => {
  const two = new DecoderPool(ENTRY, 2);
  const all = await Promise.all(Array.from({ length: 6 }, async () => drawnPixels(two)));
  expect(all).toEqual(Array.from({ length: 6 }, () => [0, 0, 0, 255, 255, 255]));
});
