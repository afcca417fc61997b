/**
 * The only door to ONNX Runtime: opening a graph of a pack, running it, freeing it.
 *
 * `run` blocks the thread it is called on for the whole run (onnxruntime-node computes synchronously), so sessions live in the inference
 * thread. Memory: a session holds its weights as float32, and an arena for the largest run so far.
 */
// oxlint-disable-next-line import/no-unassigned-import -- for its effect, and first: the library reads what it sets while it is loaded
import './telemetry-off.ts';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { PackError } from '../errors.ts';
import { required } from '../required.ts';
import type { Compute } from './compute.ts';

export type { Tensor } from 'onnxruntime-node';

export type SessionOptions = {
  /** What the graph is computed with. */
  compute: Compute;
  /** Names the graph must have, so that a damaged or foreign file is refused on load and not in the middle of a run. */
  inputs: readonly string[];
  outputs: readonly string[];
  /** Shapes that some of them must have; a letter stands for a length that the graph may leave open. */
  shapes?: Readonly<Record<string, readonly (number | string)[]>>;
};

/** Our graphs are written with the operators that shall run, so only constants are left to fold (level `basic`); that also loads fastest. */
const SESSION_OPTIONS = {
  executionMode: 'sequential',
  interOpNumThreads: 1,
  graphOptimizationLevel: 'basic',
  // What fails is thrown, and reported once; ONNX Runtime would write it to stderr by itself as well.
  logSeverityLevel: 4,
  // Threads that spin while they wait take the core from whoever has work: the decoders, or the threads of the next graph.
  extra: { session: { intra_op: { allow_spinning: '0' } } },
} as const;

/** A loaded graph. Dispose of it, or its native memory stays. */
export class Session {
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
  }

  /**
   * Loads a graph with its external weights.
   *
   * @throws PackError when ONNX Runtime refuses the file, or its inputs or outputs are not the expected ones.
   */
  static async open(path: string, options: SessionOptions): Promise<Session> {
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(path, { ...SESSION_OPTIONS, intraOpNumThreads: options.compute.threads });
    } catch (cause) {
      throw new PackError(
        path,
        `ONNX Runtime cannot load this graph (${firstLine(cause)}). Check the pack with "minigpt models verify".`,
        { cause },
      );
    }
    const problem = findDifference(session, options);
    if (problem !== undefined) {
      await session.release();
      throw new PackError(path, `the graph ${problem}. Import the model again.`);
    }
    return new Session(session);
  }

  /** The shape of an output; a letter stands for a length that the graph leaves open. */
  outputShape(name: string): readonly (number | string)[] {
    const value = this.#session.outputMetadata.find((output) => output.name === name);
    if (value?.isTensor !== true) throw new RangeError(`the graph should yield a tensor ${name}`);
    return value.shape;
  }

  /**
   * Runs the graph.
   *
   * @param fetches names of the results wanted; a tensor in place of null receives the result in its own buffer, without a copy.
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: Readonly<Record<string, Tensor | null>>,
  ): Promise<Readonly<Record<string, Tensor>>> {
    return this.#session.run(feeds, fetches);
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

/** In what a graph differs from what it should be, in one clause; undefined where it does not. */
function findDifference(
  session: InferenceSession,
  { inputs, outputs, shapes = {} }: SessionOptions,
): string | undefined {
  for (const [kind, expected, found] of [
    ['input', inputs, session.inputNames],
    ['output', outputs, session.outputNames],
  ] as const) {
    const missing = expected.filter((name) => !found.includes(name));
    const extra = kind === 'input' ? found.filter((name) => !expected.includes(name)) : [];
    if (missing.length > 0) return `lacks the ${kind} ${missing.join(', ')}`;
    if (extra.length > 0) return `has the unknown ${kind} ${extra.join(', ')}`;
  }
  for (const value of [...session.inputMetadata, ...session.outputMetadata]) {
    const expected = shapes[value.name];
    if (expected === undefined || !value.isTensor || fitsShape(value.shape, expected)) continue;
    return `has ${value.name} of shape [${value.shape.join(', ')}], and the rest of the pack needs [${expected.join(', ')}]`;
  }
  return undefined;
}

/** Lengths that are open on either side fit anything. */
function fitsShape(shape: readonly (number | string)[], expected: readonly (number | string)[]): boolean {
  return (
    shape.length === expected.length &&
    shape.every(
      (length, axis) => typeof length === 'string' || typeof expected[axis] === 'string' || length === expected[axis],
    )
  );
}

/** A float32 tensor over `data`, which is not copied. */
export function float32Tensor(data: Float32Array, dims: readonly number[]): Tensor {
  return new Tensor('float32', data, dims);
}

export function int32Tensor(values: readonly number[], dims: readonly number[]): Tensor {
  return new Tensor('int32', Int32Array.from(values), dims);
}

export function int64Tensor(values: readonly number[], dims: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

/**
 * The float32 values of a result.
 *
 * @throws RangeError when the graph did not yield this result as float32: a mistake in the graph, not in its input.
 */
export function float32Data(results: Readonly<Record<string, Tensor>>, name: string): Float32Array {
  const data = results[name]?.data;
  if (!(data instanceof Float32Array)) throw new RangeError(`the graph should yield ${name} as float32`);
  return data;
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return required(message.split('\n', 1)[0], 'the first line of a message');
}
