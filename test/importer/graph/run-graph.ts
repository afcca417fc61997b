/** Builds a graph with any inputs and outputs in a folder of its own and runs it once, for tests of operators. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphBuilder } from '../../../src/importer/graph/builder.ts';
import { ExternalData } from '../../../src/importer/graph/external-data.ts';
import type { Value } from '../../../src/importer/graph/value.ts';
import { float32Data, Session, type Tensor } from '../../../src/runtime/session.ts';

/** The values of each output that `build` names. */
export async function runGraph(
  build: (g: GraphBuilder) => Readonly<Record<string, Value>>,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Float32Array>> {
  const directory = await mkdtemp(join(tmpdir(), 'minigpt-graph-'));
  try {
    const external = new ExternalData();
    const g = new GraphBuilder('decoder', external, 'fp32');
    const outputs = Object.entries(build(g));
    for (const [name, value] of outputs) g.output(name, value);
    await writeFile(join(directory, g.fileName), g.encode());
    await external.write(directory, () => {});
    const names = outputs.map(([name]) => name);
    const session = await Session.open(join(directory, g.fileName), {
      compute: { threads: 1 },
      inputs: Object.keys(feeds),
      outputs: names,
    });
    const results = await session.run(feeds, Object.fromEntries(names.map((name) => [name, null])));
    await session.dispose();
    return Object.fromEntries(names.map((name) => [name, float32Data(results, name)]));
  } finally {
    await rm(directory, { recursive: true });
  }
}
