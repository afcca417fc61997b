/** Bytes of a stored weight, read back by an independent decoder. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodings, type EncodedPiece } from '../../../src/importer/graph/weight-storage.ts';
import type { Weight } from '../../../src/importer/read/weights.ts';
import { float16ToFloat32 } from '../../../src/tensor/float16.ts';

function weightOf(shape: number[], values: Float32Array, pieceLength = values.length): Weight {
  return {
    name: 'test',
    shape,
    dtype: 'F32',
    async *pieces() {
      for (let start = 0; start < values.length; start += pieceLength)
        yield values.subarray(start, start + pieceLength);
    },
  };
}

async function encode(precision: keyof typeof encodings, weight: Weight): Promise<Map<EncodedPiece['role'], Buffer>> {
  const parts = new Map<EncodedPiece['role'], Buffer>();
  for await (const { role, bytes } of encodings[precision].encode(weight)) {
    parts.set(role, Buffer.concat([parts.get(role) ?? Buffer.alloc(0), bytes]));
  }
  return parts;
}

function decodeInt12(parts: Map<EncodedPiece['role'], Buffer>, elements: number, rowLength: number): number[] {
  const high = parts.get('high') ?? Buffer.alloc(0);
  const low = parts.get('low') ?? Buffer.alloc(0);
  const rowMaxBytes = parts.get('row_max') ?? Buffer.alloc(0);
  const rowMax = float16ToFloat32(
    Uint16Array.from({ length: rowMaxBytes.length / 2 }, (_, i) => rowMaxBytes.readUInt16LE(2 * i)),
  );
  return Array.from({ length: elements }, (_, i) => {
    const nibble = (low.readUInt8(i >> 1) >> (i % 2 === 0 ? 0 : 4)) & 15;
    return ((high.readInt8(i) * 16 + nibble) * (rowMax[Math.floor(i / rowLength)] ?? NaN)) / 2047;
  });
}

const rows = fc.integer({ min: 1, max: 5 });
const columns = fc.integer({ min: 1, max: 7 });
const matrix = fc
  .tuple(rows, columns)
  .chain(([r, c]) =>
    fc.tuple(
      fc.constant(r),
      fc.constant(c),
      fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: r * c, maxLength: r * c }),
      fc.integer({ min: 1, max: r * c }),
    ),
  );

describe('int12', () => {
  test('every element comes back within half a level of its row, wherever the source is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(matrix, async ([r, c, list, pieceLength]) => {
        const values = Float32Array.from(list);
        const decoded = decodeInt12(await encode('int12', weightOf([r, c], values, pieceLength)), r * c, c);
        for (let row = 0; row < r; row++) {
          const own = values.subarray(row * c, (row + 1) * c);
          const greatest = Math.max(...own.map(Math.abs));
          // The row maximum is stored in half precision, rounded up: at most 1/1024 more, or a subnormal step.
          const halfLevel = (greatest * (1 + 2 ** -10) + 2 ** -24) / 2047 / 2;
          own.forEach((value, column) => {
            expect(Math.abs((decoded[row * c + column] ?? NaN) - value)).toBeLessThanOrEqual(halfLevel * (1 + 1e-6));
          });
        }
      }),
    );
  });

  test('the parts have the sizes that were planned', async () => {
    await fc.assert(
      fc.asyncProperty(matrix, async ([r, c, list, pieceLength]) => {
        const parts = await encode('int12', weightOf([r, c], Float32Array.from(list), pieceLength));
        for (const { role, byteLength } of encodings.int12.parts([r, c]))
          expect(parts.get(role)?.length).toBe(byteLength);
      }),
    );
  });

  test('a row of zeros stays zero', async () => {
    expect(decodeInt12(await encode('int12', weightOf([1, 4], new Float32Array(4))), 4, 4)).toEqual([0, 0, 0, 0]);
  });

  test.each([NaN, Infinity, 1e6])('%f is refused, since it cannot be stored', async (value) => {
    await expect(encode('int12', weightOf([1, 2], Float32Array.of(1, value)))).rejects.toThrow(/int12 cannot store/);
  });
});

test('fp16 is exact for half-precision values and refuses what would become infinite', async () => {
  const exact = Float32Array.of(0.5, -65504, 2 ** -24, 1 / 1024);
  const bytes = (await encode('fp16', weightOf([4], exact))).get('values') ?? Buffer.alloc(0);
  expect(float16ToFloat32(Uint16Array.from({ length: 4 }, (_, i) => bytes.readUInt16LE(2 * i)))).toEqual(exact);
  await expect(encode('fp16', weightOf([1], Float32Array.of(70000)))).rejects.toThrow(/beyond 65,504/);
});

test('fp32 is copied bit for bit', async () => {
  const values = Float32Array.of(Math.PI, -0, 1e-45);
  expect((await encode('fp32', weightOf([3], values))).get('values')).toEqual(Buffer.from(values.buffer));
});
