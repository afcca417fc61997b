/** Builds a small graph in a folder of its own and runs it, for tests of operators. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphBuilder } from '../../../src/importer/graph/builder.ts';
import { ExternalData } from '../../../src/importer/graph/external-data.ts';
import type { Dim, Value } from '../../../src/importer/graph/value.ts';
import type { Weight } from '../../../src/importer/read/weight.ts';
import type { Precision } from '../../../src/pack/model-declaration.ts';
import { float32Data, float32Tensor, int64Tensor, Session } from '../../../src/runtime/session.ts';

/** A trained weight with these values: unlike a computed one it is stored in the precision of the graph. */
export function trainedWeight(name: string, shape: readonly number[], values: ArrayLike<number>): Weight {
  const numbers = Float32Array.from(values);
  return { name, shape, dtype: 'F32', read: async (start, count) => numbers.slice(start, start + count) };
}

export type BuiltGraph = {
  /** y for x of these sizes. */
  run(x: ArrayLike<number>, dims: readonly number[]): Promise<Float32Array>;
  dispose(): Promise<void>;
};

/** A graph from x to y in float32; x is of whole numbers where its type says so. */
export async function buildGraph(
  options: { name: string; precision: Precision; shape: readonly Dim[]; type?: 'float' | 'int64' },
  build: (g: GraphBuilder, x: Value) => Value,
): Promise<BuiltGraph> {
  const { type = 'float' } = options;
  const directory = await mkdtemp(join(tmpdir(), 'minigpt-graph-'));
  const external = new ExternalData();
  const g = new GraphBuilder(options.name, external, options.precision);
  g.output('y', build(g, g.input('x', type, options.shape)));
  await writeFile(join(directory, g.fileName), g.encode());
  await external.write(directory, () => {});
  const session = await Session.open(join(directory, g.fileName), {
    compute: { threads: 2 },
    inputs: ['x'],
    outputs: ['y'],
  });
  return {
    async run(x, dims) {
      const tensor = type === 'float' ? float32Tensor(Float32Array.from(x), dims) : int64Tensor(Array.from(x), dims);
      return float32Data(await session.run({ x: tensor }, { y: null }), 'y');
    },
    async dispose() {
      await session.dispose();
      await rm(directory, { recursive: true });
    },
  };
}

/** Bell-shaped numbers, the same for the same seed. */
export function bellShaped(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}
