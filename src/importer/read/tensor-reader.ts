/**
 * Reads tensors of a PyTorch checkpoint piece by piece, in row-major order and in bounded memory, however they lie in their storage.
 *
 * A piece of a transposed matrix is scattered over the whole storage, so reading it in pieces would read the storage once for each. For such
 * tensors the reader looks ahead: as long as the pieces follow one another, it gathers twice as much each time, up to a limit, and serves the
 * next pieces from memory. The storage is then read a few times, and a single piece costs no more than itself.
 */
import { CheckpointError } from '../../errors.ts';
import { dtypeBytes } from '../../tensor/dtype.ts';
import type { FileBytes } from './file-bytes.ts';
import { quoted } from './quoted.ts';
import { isContiguous, isInFileOrder, readStrided, simplified, type StridedView } from './strided-read.ts';
import type { TorchTensor } from './torch-tensor.ts';

/** Most bytes that are gathered ahead. */
const MAX_BLOCK_BYTES = 64 * 2 ** 20;

/** Rows up to this size are gathered whole: a part of one costs a walk over the storage of its own. */
const ROW_SLACK_BYTES = 2 ** 20;

/** A part of a tensor in row-major order: elements from `first` on. */
type Block = { tensor: TorchTensor; first: number; count: number; bytes: Uint8Array };

export class TensorReader {
  readonly #file: FileBytes;
  /** The last block that was gathered of a tensor that does not lie in the order of the file. */
  #block: Block | undefined;

  constructor(file: FileBytes) {
    this.#file = file;
  }

  /**
   * Little-endian bytes of the elements in row-major order, `length` of them from byte `start` on.
   *
   * @throws CheckpointError when the file ends before.
   * @throws RangeError when the tensor has no such bytes.
   */
  async read(tensor: TorchTensor, start = 0, length = tensor.byteLength - start): Promise<Uint8Array> {
    const isInside = Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0;
    if (!isInside || start + length > tensor.byteLength) {
      throw new RangeError(`bytes ${start} to ${start + length} of a tensor of ${tensor.byteLength} bytes`);
    }
    const view = this.#viewOf(tensor);
    const { width } = view;
    if (length === 0) return new Uint8Array();
    if (isContiguous(view)) return this.#file.read(view.position + start, length);
    const first = Math.floor(start / width);
    const count = Math.ceil((start + length) / width) - first;
    const bytes = isInFileOrder(view)
      ? await this.#gather(view, first, count)
      : await this.#gatherAhead(tensor, view, first, count);
    const skipped = start - first * width;
    return bytes.byteLength === length ? bytes : bytes.slice(skipped, skipped + length);
  }

  /** Position in the file of a tensor's first element, where its elements lie there in row-major order; else undefined. */
  positionOf(tensor: TorchTensor): number | undefined {
    const view = this.#viewOf(tensor);
    return isContiguous(view) ? view.position : undefined;
  }

  /** Elements of a tensor whose pieces are scattered over the storage. */
  async #gatherAhead(tensor: TorchTensor, view: StridedView, first: number, count: number): Promise<Uint8Array> {
    const { width } = view;
    const block = this.#block?.tensor === tensor ? this.#block : undefined;
    if (block !== undefined && first >= block.first && first + count <= block.first + block.count) {
      const begin = (first - block.first) * width;
      return block.bytes.slice(begin, begin + count * width);
    }
    // A piece that begins in the last block or right behind it follows the pieces before.
    const follows = block !== undefined && first >= block.first && first <= block.first + block.count;
    const ahead = follows ? Math.min(2 * block.count, MAX_BLOCK_BYTES / width) : 0;
    const { begin, end } = wholeRows(view, first, first + Math.max(ahead, count));
    this.#block = undefined;
    const bytes = await this.#gather(view, begin, end - begin);
    const wanted = bytes.subarray((first - begin) * width, (first - begin + count) * width);
    if (bytes.byteLength > MAX_BLOCK_BYTES + 2 * ROW_SLACK_BYTES) return wanted;
    this.#block = { tensor, first: begin, count: end - begin, bytes };
    return wanted.slice();
  }

  async #gather(view: StridedView, first: number, count: number): Promise<Uint8Array> {
    return readStrided(async (position, length) => this.#file.read(position, length), view, first, count);
  }

  #viewOf({ storage, shape, strides, offset, dtype }: TorchTensor): StridedView {
    if (storage.position === undefined) {
      throw new CheckpointError(this.#file.path, `storage ${quoted(storage.key)} is not in the file.`, {
        fault: 'missing-storage',
      });
    }
    const width = dtypeBytes(dtype);
    return simplified({ shape, strides, width, position: storage.position + offset * width });
  }
}

/** The range of elements from `first` to `end`, grown to whole rows where these are short, and cut at the end of the tensor. */
function wholeRows({ shape, width }: StridedView, first: number, end: number): { begin: number; end: number } {
  // A view without axes is one element.
  const [rows = 1, ...rest] = shape;
  const row = rest.reduce((product, size) => product * size, 1);
  const last = Math.min(end, rows * row);
  if (row * width > ROW_SLACK_BYTES || (last - first) * width < ROW_SLACK_BYTES) return { begin: first, end: last };
  return { begin: Math.floor(first / row) * row, end: Math.ceil(last / row) * row };
}
