import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../src/importer/graph/builder.ts';
import { ExternalData } from '../../../src/importer/graph/external-data.ts';
import { trainedWeight } from './stored-graph.ts';

/** A field of protobuf that holds bytes, a text, or other fields: its number, its length, and what it holds. All are short. */
function field(number: number, ...parts: (string | readonly number[])[]): number[] {
  const held = parts.flatMap((part) => (typeof part === 'string' ? [...Buffer.from(part)] : [...part]));
  if (held.length > 127) return [(number << 3) | 2, (held.length & 127) | 128, held.length >> 7, ...held];
  return [(number << 3) | 2, held.length, ...held];
}

/** A field with a whole number below 128. */
function integer(number: number, value: number): number[] {
  const tag = number << 3;
  return tag > 127 ? [(tag & 127) | 128, tag >> 7, value] : [tag, value];
}

const FLOAT = 1;
const INT64 = 7;

test('a graph is written field by field in ascending order, lists of numbers packed, so that the same import gives the same bytes', () => {
  const g = new GraphBuilder('decoder', new ExternalData(), 'fp32');
  const x = g.input('x', 'float', ['B', 2]);
  const w = g.weight(trainedWeight('w', [3, 2], [1, 2, 3, 4, 5, 6]));
  const axis = g.int64([-1]);
  const attributes = { perm: [1, 0], axis: 5, mode: 'sum', epsilon: { float: 0.5 } };
  g.output('y', g.node1('Mix', [x, w, undefined, axis], { type: 'float', shape: ['B', 3] }, attributes));

  const dimension = (size: number | string) => field(1, typeof size === 'number' ? integer(1, size) : field(2, size));
  const valueInfo = (name: string, ...shape: (number | string)[]) => [
    ...field(1, name),
    ...field(2, field(1, integer(1, FLOAT), field(2, ...shape.map(dimension)))),
  ];
  const mix = [
    ...[field(1, 'x'), field(1, 'w'), field(1, ''), field(1, 'int64[1]:-1')].flat(),
    ...field(2, 'Mix_0:0'),
    ...field(3, 'Mix_0'),
    ...field(4, 'Mix'),
    ...field(5, field(1, 'perm'), field(8, [1, 0]), [0xa0, 1, 7]),
    ...field(5, field(1, 'axis'), integer(3, 5), [0xa0, 1, 2]),
    ...field(5, field(1, 'mode'), field(4, 'sum'), [0xa0, 1, 3]),
    ...field(5, field(1, 'epsilon'), [(2 << 3) | 5, 0, 0, 0, 0x3f], [0xa0, 1, 1]),
    ...field(7, ''),
  ];
  const identity = [...field(1, 'Mix_0:0'), ...field(2, 'y'), ...field(3, 'output/y'), ...field(4, 'Identity')];
  const external = (key: string, value: string) => field(13, field(1, key), field(2, value));
  const places = [external('location', 'decoder.onnx.data'), external('offset', '0'), external('length', '24')];
  const weight = [
    ...field(1, [3, 2]),
    ...integer(2, FLOAT),
    ...field(8, 'w'),
    ...places.flat(),
    ...integer(14, 1), // the numbers lie outside of the graph
  ];
  const minusOne = [
    ...field(1, [1]),
    ...integer(2, INT64),
    ...field(8, 'int64[1]:-1'),
    ...field(9, Array(8).fill(255)),
  ];
  const graph = [
    ...[field(1, mix), field(1, identity)].flat(),
    ...field(2, 'decoder'),
    ...[field(5, weight), field(5, minusOne)].flat(),
    ...field(11, valueInfo('x', 'B', 2)),
    ...field(12, valueInfo('y', 'B', 3)),
  ];
  const model = [
    ...integer(1, 10),
    ...field(2, 'minigpt'),
    ...field(7, graph),
    ...field(8, field(1, ''), integer(2, 21)),
    ...field(8, field(1, 'com.microsoft'), integer(2, 1)),
  ];
  expect([...g.encode()]).toEqual(model);
});
