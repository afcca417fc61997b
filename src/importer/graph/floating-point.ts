/** Weights as floating-point numbers: single precision as they are, and half precision, exact for checkpoints that are stored so themselves. */
import { CheckpointError } from '../../errors.ts';
import { float32ToFloat16 } from '../../tensor/float16.ts';
import { elementCount, readPieces } from '../read/weight.ts';
import { bytesOf, type Encoding } from './encoding.ts';

export const fp32: Encoding = {
  parts: (shape) => [{ role: 'values', type: 'float', shape, byteLength: 4 * elementCount(shape) }],
  async *encode(weight) {
    for await (const piece of readPieces(weight)) yield { role: 'values', bytes: bytesOf(piece) };
  },
};

export const fp16: Encoding = {
  parts: (shape) => [{ role: 'values', type: 'float16', shape, byteLength: 2 * elementCount(shape) }],
  async *encode(weight) {
    for await (const piece of readPieces(weight)) {
      const halves = float32ToFloat16(piece);
      refuseInfinite(weight.name, piece, halves);
      yield { role: 'values', bytes: bytesOf(halves) };
    }
  },
};

function refuseInfinite(name: string, values: Float32Array, halves: Uint16Array): void {
  for (let i = 0; i < halves.length; i++) {
    if (((halves[i] as number) & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) {
      throw new CheckpointError(
        name,
        'a weight is beyond 65,504, the largest number of fp16. Import with --precision fp32.',
      );
    }
  }
}
