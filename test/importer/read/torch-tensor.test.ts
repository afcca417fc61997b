import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { TorchStorage } from '../../../src/importer/read/torch-storage.ts';
import { TorchTensor } from '../../../src/importer/read/torch-tensor.ts';

type Numbers = readonly (number | bigint)[];

function tensorOf(elements: number, offset: number | bigint, size: Numbers, stride: Numbers): TorchTensor {
  const storage = new TorchStorage('0', 'F32', elements, 0);
  const view = { offset: BigInt(offset), sizes: size.map(BigInt), strides: stride.map(BigInt) };
  return TorchTensor.of('x.pth', storage, 'F32', view);
}

function faultOf(...numbers: Parameters<typeof tensorOf>): string | undefined {
  try {
    tensorOf(...numbers);
  } catch (error) {
    if (error instanceof CheckpointError) return error.fault;
    throw error;
  }
  return undefined;
}

describe('the description of a tensor', () => {
  test('is taken if and only if every element lies in the storage', () => {
    const axis = fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 9 }));
    fc.assert(
      fc.property(fc.nat(30), fc.nat(12), fc.array(axis, { maxLength: 4 }), (elements, offset, axes) => {
        const indices = axes.reduce<number[]>(
          (starts, [size, stride]) =>
            starts.flatMap((start) => Array.from({ length: size }, (_, index) => start + index * stride)),
          [offset],
        );
        const isInside = indices.every((index) => index < elements);
        const size = axes.map(([value]) => value);
        const stride = axes.map(([, value]) => value);
        expect(faultOf(elements, offset, size, stride)).toBe(isInside ? undefined : 'out-of-range');
        if (isInside) expect(tensorOf(elements, offset, size, stride).byteLength).toBe(4 * indices.length);
      }),
      { numRuns: 1000 },
    );
  });

  test('may have any stride where no step is made', () => {
    expect(tensorOf(2, 0, [2, 1], [1, 2n ** 62n])).toMatchObject({ shape: [2, 1], strides: [1, 0] });
    expect(tensorOf(0, 2n ** 62n, [3, 0], [2n ** 62n, 1])).toMatchObject({ shape: [3, 0], strides: [0, 0], offset: 0 });
  });

  test('may repeat elements, within limits', () => {
    expect(tensorOf(5, 0, [1000, 5], [0, 1]).byteLength).toBe(20_000);
    expect(faultOf(5, 0, [2 ** 26, 5], [0, 1])).toBe('out-of-range');
    expect(faultOf(2 ** 21, 0, [2 ** 20, 2 ** 20], [1, 1])).toBe('out-of-range');
  });

  test.each<[string, Parameters<typeof tensorOf>]>([
    ['negative sizes', [12, 0, [-3, -4], [4, 1]]],
    ['negative strides', [12, 11, [12], [-1]]],
    ['a negative offset', [12, -1, [3], [1]]],
    ['a size for each axis, and a stride more', [12, 0, [3], [1, 1]]],
    ['65 axes', [12, 0, Array.from({ length: 65 }, () => 1), Array.from({ length: 65 }, () => 1)]],
    ['sizes whose product wraps around in 64 bits to 0', [12, 0, [2n ** 62n, 4], [4, 1]]],
    ['sizes whose product wraps around to a fitting number', [12, 0, [2n ** 32n + 1n, 2n ** 32n], [0, 0]]],
    ['an end that wraps around', [12, 0, [3, 4], [2n ** 63n - 1n, 1]]],
    ['an offset beyond 64 bits', [12, 2n ** 64n, [3], [1]]],
    ['a stride beyond 64 bits, where no step is made', [12, 0, [2, 1], [1, 2n ** 63n]]],
    ['a size of a hundred digits', [12, 0, [10n ** 100n, 0], [1, 1]]],
    ['an empty shape beyond 2^53', [12, 0, [2n ** 60n, 0], [1, 1]]],
  ])('is refused with %s', (_, numbers) => {
    expect(faultOf(...numbers)).toBe('out-of-range');
  });

  test('says what is wrong in one line', () => {
    expect(() => tensorOf(12, 1, [3, 4], [4, 1])).toThrow(
      'x.pth: a tensor over storage "0" of shape [3, 4] reaches to element 12 of 12.',
    );
  });
});
