/** Weights as floating-point numbers: single precision as they are, and half precision, exact for checkpoints that are stored so themselves. */
import { float32ToFloat16 } from '../../tensor/float16.ts';
import { elementCount } from '../read/weight.ts';
import { bytesOf, refusal, type EncodedTensor, type Encoding } from './encoding.ts';

export const fp32: Encoding = {
  parts: (shape) => [{ role: 'values', type: 'float', shape, byteLength: 4 * elementCount(shape) }],
  unit: () => 1,
  encode: (values) => [{ role: 'values', bytes: bytesOf(values) }],
};

export const fp16: Encoding = {
  parts: (shape) => [{ role: 'values', type: 'float16', shape, byteLength: 2 * elementCount(shape) }],
  unit: () => 1,
  encode(values, tensor) {
    const halves = float32ToFloat16(values);
    refuseInfinite(tensor, values, halves);
    return [{ role: 'values', bytes: bytesOf(halves) }];
  },
};

function refuseInfinite(tensor: EncodedTensor, values: Float32Array, halves: Uint16Array): void {
  for (let i = 0; i < halves.length; i++) {
    if (((halves[i] as number) & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) {
      throw refusal(tensor, 'has a weight beyond 65,504, the largest number of fp16. Import with --precision fp32.');
    }
  }
}
