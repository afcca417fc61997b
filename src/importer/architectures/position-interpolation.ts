/**
 * Learned image positions for another grid than they were trained on: PyTorch's bicubic `interpolate` with align_corners=False,
 * whose cubic has a = -0.75 and which repeats the border. Not the kernel that resizes photographs.
 */
import { readAll, sizeOfAxis, type Weight } from '../read/weight.ts';

const A = -0.75;

/**
 * @param positions [1, G·G + 1, D]: the class token's position, then a square grid row by row
 * @param newGrid side of the grid wanted
 * @returns [1, newGrid² + 1, D], computed in float64 when it is first read
 */
export function interpolatePositions(positions: Weight, newGrid: number): Weight {
  const [rows, width] = [sizeOfAxis(positions, 1), sizeOfAxis(positions, 2)];
  const oldGrid = Math.sqrt(rows - 1);
  if (oldGrid === newGrid) return positions;
  if (!Number.isInteger(oldGrid))
    throw new RangeError(`${positions.name}: ${rows - 1} positions are not a square grid`);
  let computed: Promise<Float32Array> | undefined;
  const compute = async (): Promise<Float32Array> => interpolate(await readAll(positions), oldGrid, newGrid, width);
  return {
    name: `${positions.name}.${newGrid}x${newGrid}`,
    shape: [1, newGrid * newGrid + 1, width],
    dtype: 'F32',
    async read(start, count) {
      computed ??= compute();
      return (await computed).subarray(start, start + count);
    },
  };
}

function interpolate(values: Float32Array, oldGrid: number, newGrid: number, width: number): Float32Array {
  const result = new Float32Array((newGrid * newGrid + 1) * width);
  result.set(values.subarray(0, width)); // the class token's position stays
  const taps = Array.from({ length: newGrid }, (_, index) => tapsOf(index, oldGrid, newGrid));
  const sums = new Float64Array(width);
  taps.forEach((vertical, y) => {
    taps.forEach((horizontal, x) => {
      sums.fill(0);
      for (const { index: row, weight: rowWeight } of vertical) {
        for (const { index: column, weight: columnWeight } of horizontal) {
          const from = (1 + row * oldGrid + column) * width;
          const weight = rowWeight * columnWeight;
          for (let d = 0; d < width; d++) sums[d] = (sums[d] as number) + weight * (values[from + d] as number);
        }
      }
      result.set(sums, (1 + y * newGrid + x) * width);
    });
  });
  return result;
}

/** The four samples that make sample `index` of the new grid, with their weights. */
function tapsOf(index: number, oldGrid: number, newGrid: number): { index: number; weight: number }[] {
  const source = ((index + 0.5) * oldGrid) / newGrid - 0.5;
  const base = Math.floor(source);
  const t = source - base;
  const weights = [outer(t + 1), inner(t), inner(1 - t), outer(2 - t)];
  return weights.map((weight, tap) => ({ index: Math.min(Math.max(base - 1 + tap, 0), oldGrid - 1), weight }));
}

/** The cubic for distances up to 1, and from 1 to 2. */
function inner(t: number): number {
  return ((A + 2) * t - (A + 3)) * t * t + 1;
}

function outer(t: number): number {
  return ((A * t - 5 * A) * t + 8 * A) * t - 4 * A;
}
