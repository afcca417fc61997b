/**
 * Builds one ONNX graph, node by node, in the order in which data flows.
 *
 * Operators (`operators.ts`) call `node`, which names the results and keeps their shapes; weights become external initializers.
 * The graph is written as protobuf once, at the end.
 */
import onnxProto from 'onnx-proto';
import { elementCount, type Weight } from '../read/weights.ts';
import type { ExternalData, ExternalTensor } from './external-data.ts';
import { ONNX_TYPES, type Dim, type OnnxType, type Value } from './value.ts';
import { INT12_HIGH, INT12_MAX, type StoragePrecision } from './weight-storage.ts';

const { onnx } = onnxProto;

/** The standard operator set we write (ONNX 1.16), and the IR version that goes with it. */
const OPSET = 21;
const IR_VERSION = 10;

/** Operators of ONNX Runtime's own domain. */
export const MICROSOFT = 'com.microsoft';

export type Attribute = number | { float: number } | readonly number[] | string;

export class GraphBuilder {
  readonly #name: string;
  readonly #external: ExternalData;
  readonly #precision: StoragePrecision;
  readonly #location: string;
  readonly #graph = new onnx.GraphProto();
  readonly #initializers = new Map<string, Value>();
  readonly #dequantized = new Map<string, Value>();
  #nodeCount = 0;

  /** `location` is the file that takes this graph's weights. */
  constructor(name: string, external: ExternalData, precision: StoragePrecision) {
    this.#name = name;
    this.#external = external;
    this.#precision = precision;
    this.#location = `${name}.onnx.data`;
    this.#graph.name = name;
  }

  /** The file name of the graph itself. */
  get fileName(): string {
    return `${this.#name}.onnx`;
  }

  input(name: string, type: OnnxType, shape: readonly Dim[]): Value {
    const value = { name, type, shape };
    this.#graph.input.push(valueInfo(value));
    return value;
  }

  /** Makes a value an output of the graph, under the given name. */
  output(name: string, value: Value): void {
    const named = { ...value, name };
    this.#graph.node.push(
      onnx.NodeProto.create({ opType: 'Identity', input: [value.name], output: [name], name: `output/${name}` }),
    );
    this.#graph.output.push(valueInfo(named));
  }

  /** Declares a result that a node already has under this name (`present.0.key`) as an output of the graph. */
  declareOutput(value: Value): void {
    this.#graph.output.push(valueInfo(value));
  }

  /** Adds a node. `results` gives type and shape of each output, with a name where it must have a certain one. */
  node(
    opType: string,
    inputs: readonly (Value | undefined)[],
    results: readonly (Omit<Value, 'name'> & { name?: string })[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): Value[] {
    const id = `${opType}_${this.#nodeCount++}`;
    const outputs = results.map((result, index) => ({ ...result, name: result.name ?? `${id}:${index}` }));
    this.#graph.node.push(
      onnx.NodeProto.create({
        opType,
        domain,
        name: id,
        input: inputs.map((input) => input?.name ?? ''),
        output: outputs.map((output) => output.name),
        attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
      }),
    );
    return outputs;
  }

  /** A node with one result. */
  node1(
    opType: string,
    inputs: readonly (Value | undefined)[],
    result: Omit<Value, 'name'> & { name?: string },
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): Value {
    const [value] = this.node(opType, inputs, [result], attributes, domain);
    if (value === undefined) throw new RangeError(`${opType} should have a result`);
    return value;
  }

  /** A whole-number constant inside the graph: an axis, a shape, an index. */
  int64(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    const bytes = new BigInt64Array(values.map(BigInt));
    return this.#inline(`int64[${shape.join(',')}]:${values.join(',')}`, 'int64', shape, new Uint8Array(bytes.buffer));
  }

  /** A float32 scalar inside the graph. */
  scalar(value: number): Value {
    return this.#inline(`float:${value}`, 'float', [], new Uint8Array(new Float32Array([value]).buffer));
  }

  /** A weight of the checkpoint as float32, stored in the pack's precision. Reading it back costs nothing per run: constants are folded on load. */
  weight(weight: Weight): Value {
    const known = this.#dequantized.get(weight.name);
    if (known !== undefined) return known;
    const value = this.#dequantize(this.#stored(weight), weight.shape);
    this.#dequantized.set(weight.name, value);
    return value;
  }

  /** Rows of a weight by index, as float32. Only those rows are converted, except from int12, whose nibbles ONNX cannot gather. */
  gatherRows(weight: Weight, indices: Value): Value {
    const shape = [...indices.shape, ...weight.shape.slice(1)];
    const stored = this.#stored(weight).get('values');
    const table = stored ?? this.weight(weight);
    const rows = this.node1('Gather', [table, indices], { type: table.type, shape }, { axis: 0 });
    return this.#toFloat(rows);
  }

  /** The graph as an ONNX file. */
  encode(): Uint8Array {
    const model = onnx.ModelProto.create({
      irVersion: IR_VERSION,
      producerName: 'minigpt',
      opsetImport: [
        { domain: '', version: OPSET },
        { domain: MICROSOFT, version: 1 },
      ],
      graph: this.#graph,
    });
    return onnx.ModelProto.encode(model).finish();
  }

  #stored(weight: Weight): Map<string, Value> {
    const placed = this.#external.place(weight, this.#precisionOf(weight), this.#location);
    return new Map([...placed.parts].map(([role, part]) => [role, this.#externalInitializer(part)]));
  }

  /** Vectors (biases, norms) are few and sensitive: they are kept exactly, whatever the matrices are stored as. */
  #precisionOf(weight: Weight): StoragePrecision {
    const isVector = weight.shape.filter((size) => size > 1).length <= 1;
    if (!isVector || this.#precision === 'fp32') return this.#precision;
    return weight.dtype === 'F16' ? 'fp16' : 'fp32';
  }

  #dequantize(parts: ReadonlyMap<string, Value>, shape: readonly Dim[]): Value {
    const values = parts.get('values');
    if (values !== undefined) return this.#toFloat(values);
    const [high, low, rowMax] = ['high', 'low', 'row_max'].map((role) => parts.get(role));
    if (high === undefined || low === undefined || rowMax === undefined)
      throw new RangeError('an int12 weight has three parts');
    const shifted = this.node1('Mul', [this.#toFloat(high), this.scalar(INT12_HIGH)], { type: 'float', shape });
    const level = this.node1('Add', [shifted, this.#toFloat(low)], { type: 'float', shape });
    const scale = this.node1('Mul', [this.#toFloat(rowMax), this.scalar(1 / INT12_MAX)], {
      type: 'float',
      shape: rowMax.shape,
    });
    return this.node1('Mul', [level, scale], { type: 'float', shape });
  }

  #toFloat(value: Value): Value {
    if (value.type === 'float') return value;
    return this.node1('Cast', [value], { type: 'float', shape: value.shape }, { to: ONNX_TYPES.float });
  }

  #externalInitializer(tensor: ExternalTensor): Value {
    const known = this.#initializers.get(tensor.name);
    if (known !== undefined) return known;
    this.#graph.initializer.push(
      onnx.TensorProto.create({
        name: tensor.name,
        dataType: ONNX_TYPES[tensor.type],
        dims: [...tensor.shape],
        dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
        externalData: [
          { key: 'location', value: tensor.location },
          { key: 'offset', value: String(tensor.offset) },
          { key: 'length', value: String(tensor.length) },
        ],
      }),
    );
    const value = { name: tensor.name, type: tensor.type, shape: tensor.shape };
    this.#initializers.set(tensor.name, value);
    return value;
  }

  #inline(name: string, type: OnnxType, shape: readonly number[], rawData: Uint8Array): Value {
    const known = this.#initializers.get(name);
    if (known !== undefined) return known;
    if (elementCount(shape) > 64)
      throw new RangeError('constants inside the graph are small; a weight belongs into external data');
    this.#graph.initializer.push(
      onnx.TensorProto.create({ name, dataType: ONNX_TYPES[type], dims: [...shape], rawData }),
    );
    const value = { name, type, shape };
    this.#initializers.set(name, value);
    return value;
  }
}

function valueInfo(value: Value): InstanceType<typeof onnx.ValueInfoProto> {
  const dim = value.shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return onnx.ValueInfoProto.create({
    name: value.name,
    type: { tensorType: { elemType: ONNX_TYPES[value.type], shape: { dim } } },
  });
}

function attributeProto(name: string, value: Attribute): InstanceType<typeof onnx.AttributeProto> {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'number') return onnx.AttributeProto.create({ name, type: AttributeType.INT, i: value });
  if (typeof value === 'string') {
    return onnx.AttributeProto.create({ name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ('float' in value) return onnx.AttributeProto.create({ name, type: AttributeType.FLOAT, f: value.float });
  return onnx.AttributeProto.create({ name, type: AttributeType.INTS, ints: [...value] });
}
