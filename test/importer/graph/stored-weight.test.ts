/** Tables and constants of every precision, read back by ONNX Runtime. */
import { afterEach, expect, test } from 'vitest';
import { PRECISIONS } from '../../../src/pack/model-declaration.ts';
import { bellShaped, buildGraph, trainedWeight, type BuiltGraph } from './stored-graph.ts';

const open: BuiltGraph[] = [];

afterEach(async () => {
  for (const graph of open.splice(0)) await graph.dispose();
});

/** Half of the last place kept, relative to the greatest number of a row. */
const TOLERANCES = { fp32: 0, fp16: 2 ** -11, int12: 1 / 4000, int8: 2 ** -11, int4: 2 ** -11 };

test.each(PRECISIONS)('%s: rows of a table are looked up', async (precision) => {
  const table = bellShaped(6 * 10, 1);
  const graph = await buildGraph({ name: 'embed_tokens', precision, shape: ['B', 'T'], type: 'int64' }, (g, ids) =>
    g.gatherRows(trainedWeight('embed_tokens.weight', [6, 10], table), ids),
  );
  open.push(graph);
  const ids = [5, 0, 3, 3];
  const rows = await graph.run(ids, [2, 2]);
  ids.forEach((id, position) => {
    const expected = table.subarray(id * 10, (id + 1) * 10);
    const tolerance = TOLERANCES[precision] * Math.max(...expected.map(Math.abs));
    expected.forEach((value, i) =>
      expect(Math.abs((rows[position * 10 + i] ?? NaN) - value)).toBeLessThanOrEqual(tolerance),
    );
  });
});

test.each(PRECISIONS)('%s: a bias is added exactly', async (precision) => {
  const bias = bellShaped(10, 2);
  const graph = await buildGraph({ name: 'decoder', precision, shape: ['B', 10] }, (g, x) =>
    g.node1('Add', [x, g.weight(trainedWeight('fc1.bias', [10], bias))], { type: 'float', shape: x.shape }),
  );
  open.push(graph);
  expect(await graph.run(new Float32Array(10), [1, 10])).toEqual(bias);
});
