/** A stored weight inside a graph: its initializers, and the nodes that make float32 of them. */
import type { PartRole } from './encoding.ts';
import { INT12_HIGH, INT12_MAX } from './int12.ts';
import { ONNX_TYPES, type Dim, type Value } from './value.ts';
import type { WeightStorage } from './weight-storage.ts';

/** What nodes are added to: a graph builder, which itself turns stored weights into values with what is here. */
type Nodes = {
  node1(
    opType: string,
    inputs: readonly Value[],
    result: Omit<Value, 'name'>,
    attributes?: Readonly<Record<string, number>>,
  ): Value;
  scalar(value: number): Value;
};

export type StoredWeight = { storage: WeightStorage; parts: ReadonlyMap<PartRole, Value> };

/** One initializer of a stored weight. */
export function storedPart({ storage, parts }: StoredWeight, role: PartRole): Value {
  const part = parts.get(role);
  if (part === undefined) throw new RangeError(`a weight stored as ${storage} has no part ${role}`);
  return part;
}

/** The whole weight as float32: a constant that ONNX Runtime works out once, when the graph is loaded. */
export function storedAsFloat(g: Nodes, stored: StoredWeight, shape: readonly Dim[]): Value {
  switch (stored.storage) {
    case 'fp32':
    case 'fp16':
      return toFloat(g, storedPart(stored, 'values'));
    case 'int12': {
      const high = toFloat(g, storedPart(stored, 'high'));
      const shifted = g.node1('Mul', [high, g.scalar(INT12_HIGH)], { type: 'float', shape });
      const level = g.node1('Add', [shifted, toFloat(g, storedPart(stored, 'low'))], { type: 'float', shape });
      const rowMax = toFloat(g, storedPart(stored, 'row_max'));
      const scale = g.node1('Mul', [rowMax, g.scalar(1 / INT12_MAX)], { type: 'float', shape: rowMax.shape });
      return g.node1('Mul', [level, scale], { type: 'float', shape });
    }
    default:
      throw new RangeError(`a weight stored as ${stored.storage} is not meant to be read as a whole`);
  }
}

/** Rows of a table [V, ..] by index, as float32: [indices.., ..]. */
export function gatherStoredRows(g: Nodes, stored: StoredWeight, shape: readonly Dim[], indices: Value): Value {
  const table = stored.parts.get('values') ?? storedAsFloat(g, stored, shape);
  const result = { type: table.type, shape: [...indices.shape, ...shape.slice(1)] };
  return toFloat(g, g.node1('Gather', [table, indices], result, { axis: 0 }));
}

function toFloat(g: Nodes, value: Value): Value {
  if (value.type === 'float') return value;
  return g.node1('Cast', [value], { type: 'float', shape: value.shape }, { to: ONNX_TYPES.float });
}
