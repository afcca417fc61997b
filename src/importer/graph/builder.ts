/**
 * Builds one ONNX graph, node by node, in the order in which data flows.
 *
 * Operators (`operators.ts`) call `node`, which names the results and keeps their shapes; weights become external initializers.
 * The graph is written as protobuf once, at the end.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { Precision } from '../../pack/model-declaration.ts';
import { elementCount, type Weight } from '../read/weight.ts';
import type { ExternalData } from './external-data.ts';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation as DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type ValueInfoProto,
} from './generated/onnx_pb.ts';
import type { ExternalTensor } from './placed-weight.ts';
import { storageOf, type WeightUse } from './storage-plan.ts';
import { gatherStoredRows, storedAsFloat, type StoredWeight } from './stored-weight.ts';
import { ONNX_TYPES, type Dim, type OnnxType, type Value } from './value.ts';

/** The standard operator set we write (ONNX 1.16), and the IR version that goes with it. */
const OPSET = 21n;
const IR_VERSION = 10n;

/** Operators of ONNX Runtime's own domain. */
export const MICROSOFT = 'com.microsoft';

export type Attribute = number | { float: number } | readonly number[] | string;

export class GraphBuilder {
  readonly #name: string;
  readonly #external: ExternalData;
  readonly #precision: Precision;
  readonly #location: string;
  readonly #graph = create(GraphProtoSchema);
  readonly #initializers = new Map<string, Value>();
  readonly #constants = new Map<string, Value>();
  #nodeCount = 0;

  /**
   * @param name of the graph, `decoder` for example: it names the files, and decides with the precision how weights are stored (`storage-plan.ts`)
   */
  constructor(name: string, external: ExternalData, precision: Precision) {
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
      create(NodeProtoSchema, { opType: 'Identity', input: [value.name], output: [name], name: `output/${name}` }),
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
      create(NodeProtoSchema, {
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

  /** An unsigned byte inside the graph. */
  uint8(value: number): Value {
    return this.#inline(`uint8:${value}`, 'uint8', [], Uint8Array.of(value));
  }

  /** A weight of the checkpoint as float32, stored in the pack's precision. Reading it back costs nothing per run: constants are folded on load. */
  weight(weight: Weight): Value {
    const known = this.#constants.get(weight.name);
    if (known !== undefined) return known;
    const value = storedAsFloat(this, this.stored(weight, 'values'), weight.shape);
    this.#constants.set(weight.name, value);
    return value;
  }

  /** Rows of a weight by index, as float32. Only those rows are converted, except from int12, whose nibbles ONNX cannot gather. */
  gatherRows(weight: Weight, indices: Value): Value {
    return gatherStoredRows(this, this.stored(weight, 'values'), weight.shape, indices);
  }

  /** A weight as it lies in the pack, for operators that compute with it as it is stored. */
  stored(weight: Weight, use: WeightUse): StoredWeight {
    const storage = storageOf(weight, use, this.#name, this.#precision);
    const placed = this.#external.place(weight, storage, this.#location);
    const parts = [...placed.parts].map(([role, part]) => [role, this.#externalInitializer(part)] as const);
    return { storage, parts: new Map(parts) };
  }

  /** The graph as an ONNX file. */
  encode(): Uint8Array {
    const model = create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'minigpt',
      opsetImport: [
        { domain: '', version: OPSET },
        { domain: MICROSOFT, version: 1n },
      ],
      graph: this.#graph,
    });
    return toBinary(ModelProtoSchema, model);
  }

  #externalInitializer(tensor: ExternalTensor): Value {
    const known = this.#initializers.get(tensor.name);
    if (known !== undefined) return known;
    this.#graph.initializer.push(
      create(TensorProtoSchema, {
        name: tensor.name,
        dataType: ONNX_TYPES[tensor.type],
        dims: tensor.shape.map(BigInt),
        dataLocation: DataLocation.EXTERNAL,
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
      create(TensorProtoSchema, { name, dataType: ONNX_TYPES[type], dims: shape.map(BigInt), rawData }),
    );
    const value = { name, type, shape };
    this.#initializers.set(name, value);
    return value;
  }
}

function valueInfo(value: Value): ValueInfoProto {
  const dim = value.shape.map((size) =>
    typeof size === 'number'
      ? { value: { case: 'dimValue' as const, value: BigInt(size) } }
      : { value: { case: 'dimParam' as const, value: size } },
  );
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: { value: { case: 'tensorType', value: { elemType: ONNX_TYPES[value.type], shape: { dim } } } },
  });
}

function attributeProto(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === 'string') {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ('float' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}
