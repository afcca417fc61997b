import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';

const directory = mkdtempSync(join(tmpdir(), 'minigpt-safetensors-'));
afterAll(() => rmSync(directory, { recursive: true }));

const path = join(directory, 'x.safetensors');

/** A file of a header and data; `headerBytes` is what its first eight bytes claim. */
function fileOf(header: string | Uint8Array, data: Uint8Array, headerBytes?: bigint): Uint8Array {
  const json = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(headerBytes ?? BigInt(json.length));
  return Buffer.concat([prefix, json, data]);
}

/** Opens a file of these bytes and reads all its tensors. */
async function readAll(bytes: Uint8Array): Promise<Record<string, number[]>> {
  await writeFile(path, bytes);
  const file = await SafetensorsFile.open(path);
  try {
    const contents: Record<string, number[]> = {};
    for (const [name, tensor] of file.tensors) {
      const content = await file.read(tensor);
      expect(content).toHaveLength(tensor.byteLength);
      contents[name] = [...content];
    }
    return contents;
  } finally {
    await file.close();
  }
}

const data = Uint8Array.from({ length: 12 }, (_, index) => index);
const good = {
  __metadata__: { format: 'pt' },
  b: { dtype: 'F16', shape: [2, 2], data_offsets: [4, 12] },
  a: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
};

/** The header with the entry of tensor `b` changed. */
function withB(change: Record<string, unknown>): string {
  return JSON.stringify({ ...good, b: { ...good.b, ...change } });
}

describe('a safetensors file', () => {
  test('gives every tensor its bytes', async () => {
    expect(await readAll(fileOf(JSON.stringify(good), data))).toEqual({
      a: [0, 1, 2, 3],
      b: [4, 5, 6, 7, 8, 9, 10, 11],
    });
  });

  test('keeps dtype and shape, and reads a part of a tensor', async () => {
    await writeFile(path, fileOf(JSON.stringify(good), data));
    const file = await SafetensorsFile.open(path);
    const b = file.tensors.get('b');
    expect(b).toMatchObject({ name: 'b', dtype: 'F16', shape: [2, 2], byteLength: 8, file: path });
    if (b !== undefined) {
      expect([...(await file.read(b, 2, 3))]).toEqual([6, 7, 8]);
      expect([...(await file.read(b, 6))]).toEqual([10, 11]);
    }
    await file.close();
  });

  test('may hold no tensor, an empty tensor, and a header padded with spaces', async () => {
    expect(await readAll(fileOf('{}', new Uint8Array()))).toEqual({});
    const empty = { e: { dtype: 'F32', shape: [0, 5], data_offsets: [0, 0] } };
    expect(await readAll(fileOf(`${JSON.stringify(empty)}      `, new Uint8Array()))).toEqual({ e: [] });
  });

  test('may repeat keys where they are no names of tensors', async () => {
    const header = `{"__metadata__":{"a":"{","b":"\\"a\\":"},"a":${JSON.stringify(good.a)}}`;
    expect(await readAll(fileOf(header, data.subarray(0, 4)))).toEqual({ a: [0, 1, 2, 3] });
  });

  test('may carry notes of many megabytes', async () => {
    const header = JSON.stringify({ __metadata__: { notes: '\n"'.repeat(2_000_000) }, a: good.a });
    expect(await readAll(fileOf(header, data.subarray(0, 4)))).toEqual({ a: [0, 1, 2, 3] });
  });

  test('may carry notes that hold quotes and brackets', async () => {
    const header = JSON.stringify({ __metadata__: { notes: '"[[{\\'.repeat(100) }, a: good.a });
    expect(await readAll(fileOf(header, data.subarray(0, 4)))).toEqual({ a: [0, 1, 2, 3] });
  });

  test.each(['constructor', '__proto__', 'toString', ''])('may hold a tensor called %j', async (name) => {
    const header = `{${JSON.stringify(name)}:${JSON.stringify(good.a)}}`;
    await writeFile(path, fileOf(header, data.subarray(0, 4)));
    const file = await SafetensorsFile.open(path);
    await file.close();
    expect([...file.tensors.keys()]).toEqual([name]);
  });
});

describe('refused with the file and the reason is', () => {
  const whole = fileOf(JSON.stringify(good), data);
  const header = JSON.stringify(good);
  test.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(), /at least 8 bytes, this one has 0/],
    ['a file without a header', whole.subarray(0, 7), /at least 8 bytes, this one has 7/],
    ['a file cut in the header', whole.subarray(0, 40), /the header claims/],
    ['a file cut in the data', whole.subarray(0, -1), /tensor b of shape \[2, 2\] needs 8 bytes/],
    ['a header longer than the file', fileOf(header, data, 10_000n), /the header claims 10000 bytes/],
    ['a header of 2^64 - 1 bytes', fileOf(header, data, 2n ** 64n - 1n), /the header claims 18446744073709551615/],
    ['a header of no bytes', fileOf('', data), /not valid JSON/],
    ['a header that is not JSON', fileOf('{"a":', data), /not valid JSON/],
    ['a header that is not UTF-8', fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), data), /not valid JSON/],
    ['a header that is a list', fileOf('[]', data), /not a JSON object/],
    ['an entry that is no object', fileOf('{"a":null}', data), /tensor a has the type undefined/],
    ['an unknown type', fileOf(withB({ dtype: 'F4' }), data), /tensor b has the type "F4", which is not supported/],
    ['a type every object has', fileOf(withB({ dtype: 'toString' }), data), /type "toString"/],
    ['a type that is no text', fileOf(withB({ dtype: ['F16'] }), data), /not supported/],
    [
      'a type that cannot be shown as text',
      fileOf(withB({ dtype: { toString: 1, valueOf: 1 } }), data),
      /not supported/,
    ],
    ['a shape that is missing', fileOf(withB({ shape: undefined }), data), /no valid shape/],
    ['a negative size', fileOf(withB({ shape: [-2, -2] }), data), /no valid shape/],
    ['a size that is not whole', fileOf(withB({ shape: [0.5, 8] }), data), /no valid shape/],
    ['a negative offset', fileOf(withB({ data_offsets: [-4, 4] }), data), /data_offsets are \[-4, 4\]/],
    ['three offsets', fileOf(withB({ data_offsets: [4, 12, 12] }), data), /no valid shape and data_offsets/],
    ['offsets the wrong way round', fileOf(withB({ data_offsets: [12, 4] }), data), /data_offsets are \[12, 4\]/],
    ['a tensor that ends behind the file', fileOf(withB({ data_offsets: [8, 16] }), data), /in 12 bytes of data/],
    ['a shape larger than its bytes', fileOf(withB({ shape: [2, 3] }), data), /needs 12 bytes/],
    ['a shape smaller than its bytes', fileOf(withB({ shape: [2] }), data), /needs 4 bytes/],
    ['a header nested without end', fileOf('['.repeat(1_000_000), data), /nested deeper/],
    ['a header of millions of parts', fileOf(`[${'0,'.repeat(5_000_000)}0]`, data), /has more parts/],
    ['a shape beyond all numbers', fileOf(withB({ shape: [2 ** 52, 2 ** 52, 2 ** 52] }), data), /needs/],
    ['tensors that overlap', fileOf(withB({ data_offsets: [2, 10] }), data), /tensor b overlaps/],
    ['two tensors in one place', fileOf(withB({ dtype: 'F32', shape: [], data_offsets: [0, 4] }), data), /overlaps/],
    [
      'a tensor named twice',
      fileOf(`{"a":${JSON.stringify(good.a)},"a":${JSON.stringify(good.a)}}`, data.subarray(0, 4)),
      /twice/,
    ],
  ])('%s', async (_, bytes, reason) => {
    const error = await readAll(bytes).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toHaveProperty('path', path);
    expect(String(error)).toMatch(reason);
  });

  test('a file that is not there', async () => {
    await expect(SafetensorsFile.open(join(directory, 'absent'))).rejects.toThrow(CheckpointError);
  });
});

/** Fails unless reading ends in tensors that lie in the file or in a CheckpointError. */
async function readOrRefuse(bytes: Uint8Array): Promise<void> {
  try {
    await readAll(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
  }
}

describe('whatever bytes a file has, it is read or refused', () => {
  test('when bytes of a good file are changed', async () => {
    const whole = fileOf(JSON.stringify(good), data);
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), fc.nat(whole.length), async (changes, cut) => {
        const bytes = Uint8Array.from(whole);
        for (const [position, value] of changes) bytes[position] = value;
        await readOrRefuse(bytes);
        await readOrRefuse(bytes.subarray(0, cut));
      }),
      { numRuns: 300 },
    );
  });

  test('when the entry of a tensor is any JSON, or nearly right', async () => {
    const size = fc.oneof(fc.integer({ min: -2, max: 20 }), fc.constantFrom(2 ** 31, 2 ** 53, 1e308), fc.jsonValue());
    const nearly = fc.record({
      dtype: fc.oneof(fc.constantFrom('F32', 'BF16', 'I8', 'F64', 'constructor'), fc.jsonValue()),
      shape: fc.oneof(fc.array(size, { maxLength: 4 }), fc.jsonValue()),
      data_offsets: fc.oneof(fc.tuple(size, size), fc.jsonValue()),
    });
    const header = fc.dictionary(fc.string(), fc.oneof(nearly, fc.jsonValue()), { maxKeys: 4 });
    await fc.assert(
      fc.asyncProperty(header, async (json) => readOrRefuse(fileOf(JSON.stringify(json), data))),
      { numRuns: 500 },
    );
  });
});
