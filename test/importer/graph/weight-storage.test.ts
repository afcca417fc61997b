/** Bytes of a stored weight, read back by an independent decoder. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EncodedPiece } from '../../../src/importer/graph/encoding.ts';
import { encodeHere, piecesOf } from '../../../src/importer/graph/weight-piece.ts';
import { encodings, type WeightStorage } from '../../../src/importer/graph/weight-storage.ts';
import type { Weight } from '../../../src/importer/read/weight.ts';
import { float16ToFloat32 } from '../../../src/tensor/float16.ts';
import { bellShaped, trainedWeight } from './stored-graph.ts';

type Parts = Map<EncodedPiece['role'], Buffer>;

function weightOf(shape: number[], values: ArrayLike<number>): Weight {
  return trainedWeight('test', shape, values);
}

async function encode(storage: WeightStorage, weight: Weight): Promise<Parts> {
  const parts: Parts = new Map();
  const joiner = encodings[storage].join?.(weight.shape);
  for (const piece of piecesOf(weight, storage)) {
    const encoded = await encodeHere.encode(piece);
    for (const { role, bytes } of joiner?.add(encoded) ?? encoded)
      parts.set(role, Buffer.concat([parts.get(role) ?? Buffer.alloc(0), bytes]));
  }
  return parts;
}

function floats(bytes: Buffer | undefined): number[] {
  const length = (bytes?.length ?? 0) / 4;
  return Array.from({ length }, (_, i) => bytes?.readFloatLE(4 * i) ?? NaN);
}

function decodeInt12(parts: Parts, elements: number, rowLength: number): number[] {
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

function decodeInt4(parts: Parts, N: number, K: number): number[] {
  const scale = floats(parts.get('block_scale'));
  const blocksPerRow = Math.ceil(K / 32);
  return Array.from({ length: N * K }, (_, i) => {
    const [n, k] = [Math.floor(i / K), i % K];
    const block = n * blocksPerRow + (k >> 5);
    const byte = parts.get('blocks')?.readUInt8(block * 16 + ((k & 31) >> 1)) ?? NaN;
    return (((k % 2 === 0 ? byte : byte >> 4) & 15) - 8) * (scale[block] ?? NaN);
  });
}

function sumOfSquares(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value * value, 0);
}

/** [rows, columns, values] */
const matrix = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 40 }))
  .chain(([r, c]) =>
    fc.tuple(
      fc.constant(r),
      fc.constant(c),
      fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: r * c, maxLength: r * c }),
    ),
  );

test.each(['fp32', 'fp16', 'int12', 'int8', 'int4'] as const)(
  '%s: the parts have the sizes that were planned',
  async (storage) => {
    await fc.assert(
      fc.asyncProperty(matrix, async ([r, c, list]) => {
        const parts = await encode(storage, weightOf([r, c], list));
        const planned = encodings[storage].parts([r, c]);
        expect([...parts].map(([role, bytes]) => [role, bytes.length])).toEqual(
          planned.map(({ role, byteLength }) => [role, byteLength]),
        );
      }),
    );
  },
);

test.each(['int12', 'int8', 'int4'] as const)('%s refuses NaN and infinity', async (storage) => {
  for (const value of [NaN, Infinity, -Infinity])
    await expect(encode(storage, weightOf([1, 3], [1, value, 2]))).rejects.toThrow(/int\d+ cannot store/);
});

describe('int12', () => {
  test('every element comes back within half a level of its row', async () => {
    await fc.assert(
      fc.asyncProperty(matrix, async ([r, c, list]) => {
        const values = Float32Array.from(list);
        const decoded = decodeInt12(await encode('int12', weightOf([r, c], values)), r * c, c);
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

  test('a row of zeros stays zero', async () => {
    expect(decodeInt12(await encode('int12', weightOf([1, 4], new Float32Array(4))), 4, 4)).toEqual([0, 0, 0, 0]);
  });

  test('a number beyond half precision is refused', async () => {
    await expect(encode('int12', weightOf([1, 2], [1, 1e6]))).rejects.toThrow(/int12 cannot store/);
  });
});

describe('int8', () => {
  test('every element comes back, in its column, within half a level; no two neighbours add up to more than 128', async () => {
    await fc.assert(
      fc.asyncProperty(matrix, async ([N, K, list]) => {
        const parts = await encode('int8', weightOf([N, K], list));
        const scale = floats(parts.get('column_scale'));
        const level = (n: number, k: number): number =>
          k < K ? (parts.get('columns')?.readInt8(k * N + n) ?? NaN) : 0;
        for (let n = 0; n < N; n++) {
          const own = list.slice(n * K, (n + 1) * K);
          const reach = Math.max(...own.map((value, k) => Math.abs(value) + Math.abs(own[k ^ 1] ?? 0)));
          own.forEach((value, k) => {
            const decoded = level(n, k) * (scale[n] ?? NaN);
            expect(Math.abs(decoded - value)).toBeLessThanOrEqual((reach / 127 / 2) * (1 + 1e-5) + 1e-40);
            expect(Math.abs(level(n, k & ~1) + level(n, k | 1))).toBeLessThanOrEqual(128);
            expect(Math.abs(level(n, k))).toBeLessThanOrEqual(127);
          });
        }
      }),
    );
  });

  test('neighbours of unlike signs take nothing from the resolution', async () => {
    const parts = await encode('int8', weightOf([1, 4], [1, -1, 0.25, 0.5]));
    expect([...new Int8Array(parts.get('columns') ?? [])]).toEqual([127, -127, 32, 64]);
    expect(floats(parts.get('column_scale'))).toEqual([Math.fround(1 / 127)]);
  });

  test('a matrix larger than a piece is turned as a whole', async () => {
    // 5,000 rows of 1,000 are read in two pieces; each row holds its own number.
    const [N, K] = [5000, 1000];
    const weight: Weight = {
      name: 'large',
      shape: [N, K],
      dtype: 'F32',
      read: async (start, count) => Float32Array.from({ length: count }, (_, i) => 1 + Math.floor((start + i) / K)),
    };
    const parts = await encode('int8', weight);
    const scale = floats(parts.get('column_scale'));
    for (const [n, k] of [
      [0, 0],
      [4193, 999],
      [4194, 0],
      [4999, 999],
    ] as const)
      expect((parts.get('columns')?.readInt8(k * N + n) ?? NaN) * (scale[n] ?? NaN)).toBeCloseTo(
        n + 1,
        -Math.log10((n + 1) / 50),
      );
  });
});

describe('int4', () => {
  test('no block is further off than with its greatest number at the lowest level', async () => {
    await fc.assert(
      fc.asyncProperty(matrix, async ([N, K, list]) => {
        const decoded = decodeInt4(await encode('int4', weightOf([N, K], list)), N, K);
        for (let n = 0; n < N; n++) {
          for (let start = n * K; start < (n + 1) * K; start += 32) {
            const block = list.slice(start, Math.min(start + 32, (n + 1) * K));
            const scale = block.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0) / -8;
            const plain = block.map(
              (value) => value - (scale === 0 ? 0 : Math.min(Math.round(value / scale), 7) * scale),
            );
            const received = block.map((value, i) => value - (decoded[start + i] ?? NaN));
            expect(sumOfSquares(received)).toBeLessThanOrEqual(sumOfSquares(plain) * (1 + 1e-5) + 1e-9);
          }
        }
      }),
    );
  });

  // Measured: 0.0825.
  test('bell-shaped weights come back with an error of 8.5 % of their size', async () => {
    const values = bellShaped(64 * 256, 1);
    const decoded = decodeInt4(await encode('int4', weightOf([64, 256], values)), 64, 256);
    const error = sumOfSquares(values.map((value, i) => value - (decoded[i] ?? NaN)));
    expect(Math.sqrt(error / sumOfSquares(values))).toBeLessThan(0.085);
  });

  test('what fills up the last block of a row is level 0', async () => {
    const parts = await encode('int4', weightOf([1, 33], new Float32Array(33).fill(1)));
    expect([...(parts.get('blocks')?.subarray(17) ?? [])]).toEqual(Array.from({ length: 15 }, () => 0x88));
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
