/** The reference's numbers for a real table are in test/golden: MiniGPT-v2 and TinyGPT-V interpolate theirs. */
import { expect, test } from 'vitest';
import { interpolatePositions } from '../../../src/importer/architectures/position-interpolation.ts';
import { computedWeight, readAll } from '../../../src/importer/read/weight.ts';

test('a table of the right grid stays as it is', () => {
  const positions = computedWeight('pos', [1, 5, 2], new Float32Array(10));
  expect(interpolatePositions(positions, 2)).toBe(positions);
});

test('the class position is kept, and a table without slope stays without slope', async () => {
  const values = Float32Array.from({ length: 10 }, (_, index) => (index < 2 ? 7 : 3));
  const wider = interpolatePositions(computedWeight('pos', [1, 5, 2], values), 3);
  expect(wider.shape).toEqual([1, 10, 2]);
  const interpolated = await readAll(wider);
  expect(interpolated.slice(0, 2)).toEqual(Float32Array.of(7, 7));
  for (const value of interpolated.slice(2)) expect(value).toBeCloseTo(3, 6);
});

test('a row of the grid is interpolated as PyTorch does, cubic with a = -0.75 and a repeated border', async () => {
  // torch.nn.functional.interpolate([[0, 1], [0, 1]], size=(4, 4), mode="bicubic", align_corners=False), first row.
  const expected = [-0.10546875, 0.2265625, 0.7734375, 1.10546875];
  const table = computedWeight('pos', [1, 5, 1], Float32Array.of(9, 0, 1, 0, 1));
  const interpolated = await readAll(interpolatePositions(table, 4));
  expected.forEach((value, column) => expect(interpolated[1 + column]).toBeCloseTo(value, 6));
});
