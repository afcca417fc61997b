/**
 * A tensor of a PyTorch checkpoint as a description: a view of a storage, with an offset and strides in elements.
 *
 * Its numbers come from the file and are checked here, once, so that whoever reads the tensor can trust them: every element lies inside the
 * storage. The checks are exact for any integers, those beyond 2^53 included.
 */
import { CheckpointError } from '../../errors.ts';
import { required } from '../../required.ts';
import { dtypeBytes, type Dtype } from '../../tensor/dtype.ts';
import { quoted } from './quoted.ts';
import type { TorchStorage } from './torch-storage.ts';

/** As many axes as PyTorch gives a tensor. */
const MAX_AXES = 64;

/**
 * A view may have more elements than its storage, by a stride of 0. Few do in checkpoints, all small; a hostile one asks for any
 * amount of memory.
 */
const MAX_EXPANDED_BYTES = 256 * 2 ** 20;

/** Where a view lies in its storage, as the file says it: any integers. */
export type ViewNumbers = { offset: bigint; sizes: readonly bigint[]; strides: readonly bigint[] };

export class TorchTensor {
  readonly storage: TorchStorage;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Elements from one index of an axis to the next; 0 for axes of one index or none, where it does not matter. */
  readonly strides: readonly number[];
  /** Elements of the storage before the first one. */
  readonly offset: number;

  private constructor(
    storage: TorchStorage,
    dtype: Dtype,
    shape: readonly number[],
    strides: readonly number[],
    offset: number,
  ) {
    this.storage = storage;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
  }

  /** Bytes of all elements in row-major order. */
  get byteLength(): number {
    return this.shape.reduce((product, size) => product * size, dtypeBytes(this.dtype));
  }

  /**
   * The tensor that a file describes.
   *
   * @param path the file, for messages
   * @throws CheckpointError `out-of-range` when an element would lie outside of the storage, or there are too many of them.
   */
  static of(
    path: string,
    storage: TorchStorage,
    dtype: Dtype,
    { offset: start, sizes, strides }: ViewNumbers,
  ): TorchTensor {
    const refusal = (reason: string): CheckpointError =>
      new CheckpointError(path, `a tensor over storage ${quoted(storage.key)} ${reason}.`, { fault: 'out-of-range' });
    if (sizes.length !== strides.length || sizes.length > MAX_AXES) {
      throw refusal(`has ${sizes.length} axes and ${strides.length} strides`);
    }
    if ([start, ...sizes, ...strides].some((value) => BigInt.asIntN(64, value) !== value)) {
      throw refusal('has a size, stride or offset beyond 64 bits');
    }
    if (start < 0n || sizes.some((value) => value < 0n) || strides.some((value) => value < 0n)) {
      throw refusal('has a negative size, stride or offset');
    }
    const bytesPerElement = BigInt(dtypeBytes(dtype));
    const stored = BigInt(storage.byteLength) / bytesPerElement;
    const count = sizes.reduce((product, value) => product * value, 1n);
    const last = sizes.reduce(
      (sum, value, axis) => sum + (value - 1n) * required(strides[axis], 'a stride for each axis'),
      start,
    );
    if (count > 0n && last >= stored) {
      throw refusal(`of shape [${sizes.join(', ')}] reaches to element ${last} of ${stored}`);
    }
    if (count > stored && count * bytesPerElement > MAX_EXPANDED_BYTES) {
      throw refusal(`of shape [${sizes.join(', ')}] repeats ${stored} elements ${count} times`);
    }
    if (sizes.some((value) => value > Number.MAX_SAFE_INTEGER)) {
      throw refusal(`has the shape [${sizes.join(', ')}]`);
    }
    return new TorchTensor(
      storage,
      dtype,
      sizes.map(Number),
      // Where no step is made along an axis its stride is not checked by the sum above, and may be anything.
      sizes.map((value, axis) => (count > 0n && value > 1n ? Number(strides[axis]) : 0)),
      count > 0n ? Number(start) : 0,
    );
  }
}
