/** The fast encodings give the bytes of the plain ones, for any numbers and however a matrix is cut into pieces. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EncodedPiece } from '../../../src/importer/graph/encoding.ts';
import { encodings } from '../../../src/importer/graph/weight-storage.ts';
import { plainInt12, plainInt4, plainInt8 } from './plain-encodings.ts';
import { bellShaped } from './stored-graph.ts';

const PLAIN = { int8: plainInt8, int4: plainInt4, int12: plainInt12 };
const STORAGES = ['int8', 'int4', 'int12'] as const;

/** Encodes pieces of so many units each, and puts the parts one behind the other. */
function encodeInPieces(
  storage: keyof typeof PLAIN,
  values: Float32Array,
  N: number,
  K: number,
  units: number,
): Buffer {
  const shape = [N, K];
  const encoding = encodings[storage];
  const joiner = encoding.join?.(shape);
  const size = units * encoding.unit(shape);
  const found: EncodedPiece[] = [];
  for (let start = 0; start < values.length; start += size) {
    const piece = encoding.encode(values.slice(start, start + size), { name: 'w', shape });
    found.push(...(joiner?.add(piece) ?? piece));
  }
  const bytesOfRole = encoding
    .parts(shape)
    .flatMap((part) => found.filter(({ role }) => role === part.role).map(({ bytes }) => bytes));
  return Buffer.concat(bytesOfRole);
}

/** Few different numbers, so that there are ties: halves of levels, zeros of both signs, the greatest magnitude twice. */
const coarse = fc.integer({ min: -4094, max: 4094 }).map((value) => value / 2 || -0);
const element = fc.oneof(
  coarse,
  fc.constantFrom(0, -0, 89, -89, 44.5, 1e-45, -1e-38, 60_000),
  fc.float({ min: -60_000, max: 60_000, noNaN: true }),
);

const matrix = fc
  .tuple(fc.integer({ min: 1, max: 21 }), fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 9 }))
  .chain(([N, K, units]) =>
    fc.record({
      N: fc.constant(N),
      K: fc.constant(K),
      units: fc.constant(units),
      values: fc.array(element, { minLength: N * K, maxLength: N * K }).map((list) => Float32Array.from(list)),
    }),
  );

describe.each(STORAGES)('%s gives the bytes of the plain formula', (storage) => {
  test('for any numbers, in pieces of any number of rows', () => {
    fc.assert(
      fc.property(matrix, ({ N, K, units, values }) => {
        const encoded = encodeInPieces(storage, values, N, K, units);
        expect(encoded.equals(PLAIN[storage](values, N, K))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    [130, 1100],
    [37, 515],
  ])('for a bell-shaped matrix of %i rows of %i, larger than the tiles it is worked on in', (N, K) => {
    const values = bellShaped(N * K, N);
    const plain = PLAIN[storage](values, N, K);
    for (const units of [1, 17, N]) expect(encodeInPieces(storage, values, N, K, units).equals(plain)).toBe(true);
  });
});
