/**
 * The whole-number encodings once more, element by element and without any thought of speed: what the fast ones must give to the last bit. Sums are added
 * in the order of the elements, since another order rounds in another way.
 */
import { float16ToFloat32, float32ToFloat16 } from '../../../src/tensor/float16.ts';

/** The bytes of all parts, one behind the other. */
export type PlainEncoding = (values: Float32Array, N: number, K: number) => Uint8Array;

const at = (values: ArrayLike<number>, i: number): number => values[i] ?? NaN;

export const plainInt8: PlainEncoding = (values, N, K) => {
  const columns = new Int8Array(K * N);
  const scale = new Float32Array(N);
  for (let n = 0; n < N; n++) {
    const row = values.subarray(n * K, (n + 1) * K);
    const sums = Array.from({ length: K >> 1 }, (_, i) => at(row, 2 * i) + at(row, 2 * i + 1));
    const greatest = Math.fround(Math.max(0, ...Array.from(row, Math.abs), ...sums.map(Math.abs)));
    scale[n] = greatest / 127;
    row.forEach((value, k) => {
      columns[k * N + n] = greatest === 0 ? 0 : Math.floor(value * (127 / greatest) + 127.5) - 127;
    });
  }
  return Buffer.concat([Buffer.from(columns.buffer), Buffer.from(scale.buffer)]);
};

/** The nearest of -8…7. */
const levelOf = (value: number, factor: number): number =>
  Math.min(Math.max(Math.floor(value * factor + 8.5), 0), 15) - 8;

export const plainInt4: PlainEncoding = (values, N, K) => {
  const blocksPerRow = Math.ceil(K / 32);
  const blocks = new Uint8Array(N * blocksPerRow * 16);
  const scales = new Float32Array(N * blocksPerRow);
  for (let block = 0; block < scales.length; block++) {
    const start = Math.floor(block / blocksPerRow) * K + (block % blocksPerRow) * 32;
    const end = Math.min(start + 32, (Math.floor(block / blocksPerRow) + 1) * K);
    const own = Array.from(values.subarray(start, end));
    const extreme = own.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    const [wide, narrow] = [-8, -8.75].map((lowest) => {
      const levels = own.map((value) => levelOf(value, lowest / extreme));
      const products = own.reduce((sum, value, i) => sum + value * at(levels, i), 0);
      const scale = products / levels.reduce((sum, level) => sum + level * level, 0);
      return { scale, gain: scale * products };
    });
    if (wide === undefined || narrow === undefined) throw new Error('two scales are tried');
    const best = wide.gain >= narrow.gain ? wide.scale : narrow.scale;
    scales[block] = extreme === 0 ? 0 : best;
    const stored = at(scales, block);
    for (let i = 0; i < 32; i++) {
      const level = stored === 0 || i >= own.length ? 0 : levelOf(at(own, i), 1 / stored);
      const byte = block * 16 + (i >> 1);
      blocks[byte] = at(blocks, byte) | ((level + 8) << (4 * (i & 1)));
    }
  }
  return Buffer.concat([blocks, Buffer.from(scales.buffer)]);
};

export const plainInt12: PlainEncoding = (values, N, K) => {
  const high = new Int8Array(values.length);
  const low = new Uint8Array(Math.ceil(values.length / 2));
  const rowMax = new Uint16Array(N);
  for (let n = 0; n < N; n++) {
    const greatest = Math.max(...Array.from(values.subarray(n * K, (n + 1) * K), Math.abs));
    rowMax[n] = float32ToFloat16(Float32Array.of(greatest))[0] ?? 0;
    if (at(float16ToFloat32(rowMax.subarray(n, n + 1)), 0) < greatest) rowMax[n] = at(rowMax, n) + 1;
    const max = at(float16ToFloat32(rowMax.subarray(n, n + 1)), 0);
    for (let i = n * K; i < (n + 1) * K; i++) {
      const level = max === 0 ? 0 : Math.round((at(values, i) / max) * 2047);
      high[i] = Math.floor(level / 16);
      low[i >> 1] = at(low, i >> 1) | ((level & 15) << (4 * (i & 1)));
    }
  }
  return Buffer.concat([Buffer.from(high.buffer), low, Buffer.from(rowMax.buffer)]);
};
