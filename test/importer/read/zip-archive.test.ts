import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { storedZip, type Entry } from '../../../bench/stored-zip.mjs';
import { CheckpointError } from '../../../src/errors.ts';
import { FileBytes } from '../../../src/importer/read/file-bytes.ts';
import { readZipArchive } from '../../../src/importer/read/zip-archive.ts';

const directory = mkdtempSync(join(tmpdir(), 'minigpt-zip-'));
afterAll(() => rmSync(directory, { recursive: true }));
const path = join(directory, 'x.pth');

/** The contents of all entries by their names below the top folder, read at the positions that the reader gives. */
async function contents(bytes: Uint8Array): Promise<Record<string, number[]>> {
  await writeFile(path, bytes);
  const file = await FileBytes.open(path);
  try {
    const { entries } = await readZipArchive(file);
    const found: [string, number[]][] = [];
    for (const [name, { position, size }] of entries) found.push([name, [...(await file.read(position, size))]]);
    return Object.fromEntries(found);
  } finally {
    await file.close();
  }
}

const first = { name: 'top/a', data: Uint8Array.of(1, 2, 3) };
const second = { name: 'top/b', data: Uint8Array.of(4, 5) };
const both = { a: [1, 2, 3], b: [4, 5] };

describe('a zip file', () => {
  test('gives each entry its place', async () => {
    expect(await contents(storedZip([first, second]))).toEqual(both);
  });

  test('may have its sizes and positions in 64 bits', async () => {
    expect(await contents(storedZip([first, second], { zip64: true }))).toEqual(both);
  });

  test('may have extra fields in front of the data that the directory does not have', async () => {
    const padding = Uint8Array.from([0x46, 0x42, 5, 0, 0, 0, 0, 0, 0]);
    expect(await contents(storedZip([{ ...first, extra: padding }, second]))).toEqual(both);
  });

  test('may leave the sizes in the local headers to the directory', async () => {
    const later = { flags: 0x0008, local: { size: 0 } };
    expect(await contents(storedZip([{ ...first, ...later }, second]))).toEqual(both);
  });

  test('may have a comment that looks like its end', async () => {
    const decoy = storedZip([]).subarray(0, 22);
    const comment = Buffer.concat([decoy, Buffer.from('and more')]);
    expect(await contents(storedZip([first, second], { comment }))).toEqual(both);
  });

  test('may be empty', async () => {
    expect(await contents(storedZip([]))).toEqual({});
  });

  test('is read whatever its entries are', async () => {
    const letters = fc.stringMatching(/^[a-zA-Zäß你_.][a-zA-Zäß你_./0-9]{0,20}$/);
    const entries = fc.uniqueArray(fc.tuple(letters, fc.uint8Array({ maxLength: 40 })), { selector: ([name]) => name });
    await fc.assert(
      fc.asyncProperty(entries, fc.boolean(), fc.uint8Array({ maxLength: 50 }), async (list, zip64, comment) => {
        const bytes = storedZip(
          list.map(([name, data]) => ({ name: `top/${name}`, data })),
          { zip64, comment },
        );
        expect(await contents(bytes)).toEqual(Object.fromEntries(list.map(([name, data]) => [name, [...data]])));
      }),
      { numRuns: 100 },
    );
  });
});

describe('refused is a zip file', () => {
  const good = storedZip([first, second]);
  const withFirst = (change: Partial<Entry>): Uint8Array => storedZip([{ ...first, ...change }, second]);
  test.each<[string, Uint8Array, string, RegExp]>([
    ['that is cut off', good.subarray(0, -1), 'truncated', /no table of contents/],
    ['with bytes behind its end', Buffer.concat([good, Buffer.of(0)]), 'truncated', /no table of contents/],
    ['with bytes in front', Buffer.concat([Buffer.of(0), good]), 'truncated', /no table of contents/],
    ['with bytes taken out', Buffer.concat([good.subarray(0, 40), good.subarray(42)]), 'truncated', /no table/],
    ['whose entries are compressed', withFirst({ method: 8 }), 'unsupported-compression', /"top\/a".*compressed/],
    ['whose entries are encrypted', withFirst({ flags: 1 }), 'encrypted', /"top\/a".*encrypted/],
    ['with hidden headers', withFirst({ flags: 0x2000 }), 'encrypted', /encrypted/],
    ['with an entry twice', storedZip([first, first]), 'ambiguous-archive', /"top\/a" is in this zip file twice/],
    ['with two top folders', storedZip([first, { ...second, name: 'other/b' }]), 'ambiguous-archive', /"top", "other"/],
    ['with an entry beside its folder', storedZip([first, { ...second, name: 'b' }]), 'ambiguous-archive', /folders/],
    [
      'whose local header has another name',
      withFirst({ local: { name: 'top/x' } }),
      'truncated',
      /is not where the table of contents says/,
    ],
    ['whose local header has another size', withFirst({ local: { size: 2 } }), 'truncated', /is not where the table/],
    [
      'with an entry larger than the file',
      withFirst({ listed: { size: 1000 } }),
      'truncated',
      /is not where the table/,
    ],
    [
      'with an entry behind the file',
      withFirst({ listed: { header: 1_000_000 } }),
      'truncated',
      /is not where the table/,
    ],
    [
      'with an entry over the next one',
      withFirst({ flags: 8, local: { size: 0 }, listed: { size: 10 } }),
      'ambiguous-archive',
      /overlaps with the entry before it/,
    ],
    ['that unpacks to another size', withFirst({ listed: { compressedSize: 2 } }), 'ambiguous-archive', /damaged/],
    ['on several disks', withFirst({ listed: { disk: 1 } }), 'ambiguous-archive', /damaged/],
    ['with fewer entries than it says', storedZip([first], { count: 2 }), 'ambiguous-archive', /damaged/],
    ['with more entries than it says', storedZip([first, second], { count: 1 }), 'ambiguous-archive', /damaged/],
    ['with a million entries', storedZip([first], { zip64: true, count: 1e6 }), 'too-large', /1000000 entries/],
  ])('%s', async (_, bytes, fault, reason) => {
    const error = await contents(bytes).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toMatchObject({ fault, path });
    expect(String(error)).toMatch(reason);
  });

  test('with two tables of contents that are both whole', async () => {
    // An archive inside the comment of another one, its positions counted from the start of the file.
    const outer = storedZip([first]);
    const table = storedZip([]).subarray(0, 22);
    const inner = Buffer.from(table);
    inner.writeUInt32LE(outer.length, 16);
    const error = await contents(storedZip([first], { comment: inner })).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ fault: 'ambiguous-archive' });
    expect(String(error)).toMatch(/two tables of contents/);
  });
});
