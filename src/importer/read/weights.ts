/**
 * Hands out the tensors of a checkpoint one by one, each with the shape that the architecture expects, and knows at the end which were
 * left over. Nothing is read until a weight's values are asked for.
 */
import { CheckpointError, ShapeError } from '../../errors.ts';
import { dtypeBytes, toFloat32 } from '../../tensor/dtype.ts';
import type { StoredTensor, TensorFile } from './tensor-file.ts';
import { addDelta, type Weight } from './weight.ts';

/** A tensor with the file to read it from. */
export type OpenTensor = { tensor: StoredTensor; file: TensorFile };

/** A change of a weight that an adapter makes, and the tensors that it is made of. */
export type Adaptation = { tensors: readonly StoredTensor[]; apply: (weight: Weight) => Weight };

/** The weights of one model under the names the architectures ask for, and which of them have been taken. */
export class CheckpointWeights {
  readonly #tensors: ReadonlyMap<string, OpenTensor>;
  readonly #deltas: ReadonlyMap<string, OpenTensor>;
  readonly #adaptations: ReadonlyMap<string, readonly Adaptation[]>;
  readonly #where: string;
  readonly #explainMissing: (name: string) => string;
  readonly #taken = new Set<string>();

  /**
   * @param options.where the folder or files, for messages
   * @param options.explainMissing what to do about a missing tensor of this name
   * @param options.deltas tensors that are added to those of the same name
   * @param options.adaptations changes of the tensors of the same name, in the order in which they are made
   */
  constructor(
    tensors: ReadonlyMap<string, OpenTensor>,
    options: {
      where: string;
      explainMissing?: (name: string) => string;
      deltas?: ReadonlyMap<string, OpenTensor>;
      adaptations?: ReadonlyMap<string, readonly Adaptation[]>;
    },
  ) {
    this.#tensors = tensors;
    this.#where = options.where;
    this.#explainMissing = options.explainMissing ?? (() => 'Is this checkpoint complete and of the expected family?');
    // Few language models are published as differences, and few checkpoints have an adapter.
    this.#deltas = options.deltas ?? new Map<string, OpenTensor>();
    this.#adaptations = options.adaptations ?? new Map<string, readonly Adaptation[]>();
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /**
   * The tensor `name`, which must have exactly this shape. Each tensor is taken once.
   *
   * @throws CheckpointError when the tensor is missing, was taken before, or is not floating point.
   * @throws ShapeError when its shape differs.
   */
  take(name: string, shape: readonly number[]): Weight {
    const stored = this.#stored(name);
    const weight = openWeight(stored, name, shape);
    if (this.#taken.has(name))
      throw new CheckpointError(stored.tensor.file, `tensor ${stored.tensor.name} is used twice by the architecture.`);
    this.#taken.add(name);
    const delta = this.#deltas.get(name);
    const whole = delta === undefined ? weight : addDelta(weight, openWeight(delta, name, shape));
    return (this.#adaptations.get(name) ?? []).reduce((adapted, { apply }) => apply(adapted), whole);
  }

  /** Sizes of a tensor, for those that only the tensor itself knows. */
  shapeOf(name: string): readonly number[] {
    return this.#stored(name).tensor.shape;
  }

  /**
   * Rows of a table, for tables whose height only the tensor itself knows: published configs give other heights of vocabularies.
   *
   * @throws CheckpointError when it has no rows.
   */
  rows(name: string): number {
    const { tensor } = this.#stored(name);
    const [rows] = tensor.shape;
    if (rows !== undefined) return rows;
    throw new CheckpointError(tensor.file, `tensor ${tensor.name} should be a table but is a single number.`);
  }

  /** A cursor whose names all begin with `prefix` and a dot. */
  at(prefix: string): WeightCursor {
    return new WeightCursor(this, prefix);
  }

  /** Names that have been taken. */
  get used(): string[] {
    return [...this.#tensors.keys()].filter((name) => this.#taken.has(name));
  }

  /** Tensors that have not been taken, by the names the architectures would ask for. */
  get leftOver(): Map<string, StoredTensor> {
    const entries = [...this.#tensors].filter(([name]) => !this.#taken.has(name));
    return new Map(entries.map(([name, { tensor }]) => [name, tensor]));
  }

  #stored(name: string): OpenTensor {
    const stored = this.#tensors.get(name);
    if (stored === undefined) {
      throw new CheckpointError(this.#where, `tensor ${name} is missing. ${this.#explainMissing(name)}`);
    }
    return stored;
  }
}

/** A stored tensor as a weight of this shape. @throws CheckpointError, ShapeError when it is another kind of tensor. */
export function openWeight({ tensor, file }: OpenTensor, name: string, shape: readonly number[]): Weight {
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
    throw new ShapeError(tensor.name, shape, tensor.shape, tensor.file);
  }
  if (!/^B?F/.test(tensor.dtype)) {
    throw new CheckpointError(
      tensor.file,
      `tensor ${tensor.name} should hold floating-point numbers but is ${tensor.dtype}.`,
    );
  }
  const bytes = dtypeBytes(tensor.dtype);
  const position = file.positionOf(tensor);
  return {
    name,
    shape,
    dtype: tensor.dtype,
    file: tensor.file,
    read: async (start, count) => toFloat32(await file.read(tensor, start * bytes, count * bytes), tensor.dtype),
    stretches: (start, count) =>
      position === undefined
        ? undefined
        : [{ path: tensor.file, position: position + start * bytes, length: count * bytes }],
  };
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

  shapeOf(name: string): readonly number[] {
    return this.#weights.shapeOf(`${this.#prefix}.${name}`);
  }

  take(name: string, shape: readonly number[]): Weight {
    return this.#weights.take(`${this.#prefix}.${name}`, shape);
  }

  /** The two vectors of a layer norm over `size` features. */
  takeNorm(name: string, size: number): { weight: Weight; bias: Weight } {
    return { weight: this.take(`${name}.weight`, [size]), bias: this.take(`${name}.bias`, [size]) };
  }

  /** Weight and bias of a linear layer. */
  takeLinear(name: string, outputs: number, inputs: number): { weight: Weight; bias: Weight } {
    return { weight: this.take(`${name}.weight`, [outputs, inputs]), bias: this.take(`${name}.bias`, [outputs]) };
  }
}
