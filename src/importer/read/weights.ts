/**
 * Hands out the tensors of a checkpoint one by one, each with the shape that the architecture expects, and knows at the end which were
 * left over. Nothing is read until a weight's values are asked for, and then piece by piece, so that memory does not grow with the checkpoint.
 */
import { ShapeError, CheckpointError } from '../../errors.ts';
import { dtypeBytes, toFloat32, type Dtype } from '../../tensor/dtype.ts';
import type { CheckpointFolder } from './checkpoint-folder.ts';
import type { StoredTensor } from './safetensors.ts';

/** Largest piece of a tensor that is in memory at once, in elements (16 MB of float32). */
const PIECE_ELEMENTS = 4 * 2 ** 20;

/** A tensor that can be read, perhaps made of several stored ones. */
export type Weight = {
  /** Unique among the weights of a model: the checkpoint's name, or the joined names. */
  name: string;
  shape: readonly number[];
  /** The type it is stored in; the widest one where several are joined. */
  dtype: Dtype;
  /** The values in row-major order, in consecutive pieces. */
  pieces(): AsyncIterable<Float32Array>;
};

/** Elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** All values of a weight at once. Only for weights that are small by nature. */
export async function readAll(weight: Weight): Promise<Float32Array> {
  const values = new Float32Array(elementCount(weight.shape));
  let filled = 0;
  for await (const piece of weight.pieces()) {
    values.set(piece, filled);
    filled += piece.length;
  }
  return values;
}

/** Joins weights along their first axis: three [d, d] projections become one [3d, d], three biases [d] one [3d]. */
export function concatRows(...weights: readonly [Weight, ...Weight[]]): Weight {
  const [first] = weights;
  return {
    name: weights.map((weight) => weight.name).join('+'),
    shape: [weights.reduce((rows, weight) => rows + (weight.shape[0] ?? 0), 0), ...first.shape.slice(1)],
    dtype: weights.reduce(
      (widest, { dtype }) => (dtypeBytes(dtype) > dtypeBytes(widest) ? dtype : widest),
      first.dtype,
    ),
    async *pieces() {
      for (const weight of weights) yield* weight.pieces();
    },
  };
}

/** The same values under another shape. */
export function reshape(weight: Weight, shape: readonly number[]): Weight {
  return { ...weight, shape };
}

/** Which tensors of a checkpoint have been taken; shared by all cursors of one import. */
export class CheckpointWeights {
  readonly #checkpoint: CheckpointFolder;
  readonly #taken = new Set<string>();

  constructor(checkpoint: CheckpointFolder) {
    this.#checkpoint = checkpoint;
  }

  has(name: string): boolean {
    return this.#checkpoint.tensors.has(name);
  }

  /**
   * The tensor `name`, which must have exactly this shape. Each tensor is taken once.
   *
   * @throws CheckpointError when the tensor is missing, was taken before, or is not floating point.
   * @throws ShapeError when its shape differs.
   */
  take(name: string, shape: readonly number[]): Weight {
    const stored = this.#stored(name);
    if (stored.shape.length !== shape.length || stored.shape.some((size, axis) => size !== shape[axis])) {
      throw new ShapeError(name, shape, stored.shape, stored.file);
    }
    if (!/^B?F/.test(stored.dtype)) {
      throw new CheckpointError(
        stored.file,
        `tensor ${name} should hold floating-point numbers but is ${stored.dtype}.`,
      );
    }
    if (this.#taken.has(name))
      throw new CheckpointError(stored.file, `tensor ${name} is used twice by the architecture.`);
    this.#taken.add(name);
    const checkpoint = this.#checkpoint;
    return { name, shape, dtype: stored.dtype, pieces: () => readPieces(checkpoint, stored) };
  }

  /** Rows of a table, for tables whose height only the tensor itself knows (spec 4.1: trust the tensor, not the config). */
  rows(name: string): number {
    return this.#stored(name).shape[0] ?? 0;
  }

  /** A cursor whose names all begin with `prefix` and a dot. */
  at(prefix: string): WeightCursor {
    return new WeightCursor(this, prefix);
  }

  get used(): StoredTensor[] {
    return [...this.#checkpoint.tensors.values()].filter((tensor) => this.#taken.has(tensor.name));
  }

  get leftOver(): StoredTensor[] {
    return [...this.#checkpoint.tensors.values()].filter((tensor) => !this.#taken.has(tensor.name));
  }

  #stored(name: string): StoredTensor {
    const stored = this.#checkpoint.tensors.get(name);
    if (stored === undefined) {
      throw new CheckpointError(
        this.#checkpoint.directory,
        `tensor ${name} is missing. Is this checkpoint complete and of the expected family?`,
      );
    }
    return stored;
  }
}

/** A position in the tree of tensor names. */
export class WeightCursor {
  readonly #weights: CheckpointWeights;
  readonly #prefix: string;

  constructor(weights: CheckpointWeights, prefix: string) {
    this.#weights = weights;
    this.#prefix = prefix;
  }

  at(name: string): WeightCursor {
    return new WeightCursor(this.#weights, `${this.#prefix}.${name}`);
  }

  has(name: string): boolean {
    return this.#weights.has(`${this.#prefix}.${name}`);
  }

  rows(name: string): number {
    return this.#weights.rows(`${this.#prefix}.${name}`);
  }

  take(name: string, shape: readonly number[]): Weight {
    return this.#weights.take(`${this.#prefix}.${name}`, shape);
  }

  /** The two vectors of a layer norm over `size` features. */
  takeNorm(name: string, size: number): { weight: Weight; bias: Weight } {
    return { weight: this.take(`${name}.weight`, [size]), bias: this.take(`${name}.bias`, [size]) };
  }
}

async function* readPieces(checkpoint: CheckpointFolder, tensor: StoredTensor): AsyncGenerator<Float32Array> {
  const bytes = PIECE_ELEMENTS * dtypeBytes(tensor.dtype);
  for (let start = 0; start < tensor.byteLength; start += bytes) {
    const length = Math.min(bytes, tensor.byteLength - start);
    yield toFloat32(await checkpoint.read(tensor, start, length), tensor.dtype);
  }
}
