#!/usr/bin/env node
/**
 * Which of ONNX Runtime's quantised matrix products to write into the graphs: speed, error and whether a row's result depends on the rows beside it,
 * for the shapes that matter (ViT-g's first feed-forward layer for one image and for eight; OPT-2.7B's for 1, 16 and 320 positions).
 *
 *     node bench/int8-kernels.mjs --rounds 5
 *
 * All routes of a shape take turns within a round, and the best round counts: other work on the machine then disturbs all of them alike. Prints
 * a table and writes every number to bench/runs/DATE-MACHINE/int8-kernels.json.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
// oxlint-disable-next-line import/no-unassigned-import -- for its effect, before the library is loaded
import '../dist/runtime/telemetry-off.js';
import { create, toBinary } from '@bufbuild/protobuf';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

const onnx = await import(new URL('../dist/importer/graph/generated/onnx_pb.js', import.meta.url).href);
const TYPES = { float: 1, uint8: 2, int8: 3, int64: 7 };
const MICROSOFT = 'com.microsoft';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    date: { type: 'string', default: new Date().toISOString().slice(0, 10) },
    out: { type: 'string' },
  },
});

/** Inputs K and outputs N of the layers, and the numbers of rows they see at one time. */
const LAYERS = [
  { name: 'ViT-g fc1', K: 1408, N: 6144, rows: [257, 2056] },
  { name: 'OPT-2.7B fc1', K: 2560, N: 10240, rows: [1, 16, 320] },
];

/** The same bell-shaped numbers everywhere; `tails` makes some columns ten times as large, as the activations of trained models have them. */
function bellShaped(count, seed, columns = 0) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const values = Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
  if (columns > 0) for (let i = 0; i < count; i++) if ((i % columns) % 400 === 7) values[i] *= 10;
  return values;
}

/**
 * Whole numbers for each row of W [N, K], in the order [K, N] of the integer operators, and the scale of each row. The greatest magnitude is level 127; with
 * `pairs` the greatest magnitude of the sum of two neighbours.
 */
function quantizeRows(weight, N, K, pairs) {
  const levels = new Int8Array(N * K);
  const scales = new Float32Array(N);
  for (let n = 0; n < N; n++) {
    const row = weight.subarray(n * K, (n + 1) * K);
    let greatest = 0;
    for (let k = 0; k < K; k++) {
      greatest = Math.max(greatest, Math.abs(row[k]), pairs && k % 2 === 0 ? Math.abs(row[k] + row[k + 1]) : 0);
    }
    scales[n] = greatest / 127;
    for (let k = 0; k < K; k++) levels[k * N + n] = Math.round(row[k] / scales[n]);
  }
  return { levels, scales };
}

/** MatMulNBits' blocks along K: unsigned whole numbers around the middle, scale = greatest magnitude / (half the range - 1). */
function quantizeBlocks(weight, N, K, bits, size) {
  const middle = 2 ** (bits - 1);
  const blocks = K / size;
  const scales = new Float32Array(N * blocks);
  const packed = new Uint8Array((N * K * bits) / 8);
  for (let block = 0; block < N * blocks; block++) {
    let greatest = 0;
    for (let i = 0; i < size; i++) greatest = Math.max(greatest, Math.abs(weight[block * size + i]));
    scales[block] = greatest / (middle - 1);
    for (let i = 0; i < size; i++) {
      const level = Math.round(weight[block * size + i] / scales[block]) + middle;
      const position = block * size + i;
      if (bits === 8) packed[position] = level;
      else packed[position >> 1] |= position % 2 === 0 ? level : level << 4;
    }
  }
  return { packed, scales };
}

/** A graph from x [M, K] to y [M, N], written node by node. */
class Graph {
  #graph = create(onnx.GraphProtoSchema, { name: 'product' });

  constructor(K, N) {
    this.#graph.input.push(valueInfo('x', ['M', K]));
    this.#graph.output.push(valueInfo('y', ['M', N]));
  }

  constant(name, type, dims, data) {
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#graph.initializer.push(
      create(onnx.TensorProtoSchema, { name, dataType: TYPES[type], dims: dims.map(BigInt), rawData }),
    );
    return name;
  }

  node(opType, input, output, attributes = {}, domain = '') {
    const Type = onnx.AttributeProto_AttributeType;
    const attribute = Object.entries(attributes).map(([name, value]) =>
      Array.isArray(value)
        ? create(onnx.AttributeProtoSchema, { name, type: Type.INTS, ints: value.map(BigInt) })
        : create(onnx.AttributeProtoSchema, { name, type: Type.INT, i: BigInt(value) }),
    );
    this.#graph.node.push(
      create(onnx.NodeProtoSchema, { opType, input, output: [output], attribute, domain, name: output }),
    );
    return output;
  }

  encode() {
    const opsetImport = [
      { domain: '', version: 21n },
      { domain: MICROSOFT, version: 1n },
    ];
    return toBinary(
      onnx.ModelProtoSchema,
      create(onnx.ModelProtoSchema, { irVersion: 10n, opsetImport, graph: this.#graph }),
    );
  }
}

function valueInfo(name, shape) {
  const dim = shape.map((size) => ({
    value: typeof size === 'number' ? { case: 'dimValue', value: BigInt(size) } : { case: 'dimParam', value: size },
  }));
  return create(onnx.ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType: TYPES.float, shape: { dim } } } },
  });
}

/** Three ways of storing a matrix for the integer kernels: signed, signed so that no two products exceed 16 bits (as packs hold it), unsigned. */
const WEIGHTS = {
  int8: { pairs: false, type: 'int8' },
  'int8 in pairs': { pairs: true, type: 'int8' },
  uint8: { pairs: false, type: 'uint8' },
};

function integerWeight(graph, { weight, N, K }, { pairs, type }, extraRows = 0) {
  const { levels, scales } = quantizeRows(weight, N, K, pairs);
  const offset = type === 'uint8' ? 128 : 0;
  const data = new Uint8Array((K + extraRows) * N).fill(offset);
  for (let i = 0; i < levels.length; i++) data[i] = levels[i] + offset;
  graph.constant('w', type, [K + extraRows, N], data);
  graph.constant('w_scale', 'float', [N], scales);
  graph.constant('w_zero', type, [N], new Uint8Array(N).fill(offset));
}

function float32Product({ weight, N, K }) {
  const graph = new Graph(K, N);
  graph.constant('w', 'float', [N, K], weight);
  graph.node('FusedMatMul', ['x', 'w'], 'y', { transB: 1 }, MICROSOFT);
  return graph.encode();
}

function blockwise(bits, blockSize, accuracyLevel) {
  return ({ weight, N, K }) => {
    const graph = new Graph(K, N);
    const { packed, scales } = quantizeBlocks(weight, N, K, bits, blockSize);
    graph.constant('w', 'uint8', [N, K / blockSize, (blockSize * bits) / 8], packed);
    graph.constant('w_scale', 'float', [N * (K / blockSize)], scales);
    const attributes = { K, N, bits, block_size: blockSize, accuracy_level: accuracyLevel };
    graph.node('MatMulNBits', ['x', 'w', 'w_scale'], 'y', attributes, MICROSOFT);
    return graph.encode();
  };
}

function oneScale(kind) {
  return (layer) => {
    const graph = new Graph(layer.K, layer.N);
    integerWeight(graph, layer, kind);
    graph.node('DynamicQuantizeMatMul', ['x', 'w', 'w_scale', 'w_zero'], 'y', {}, MICROSOFT);
    return graph.encode();
  };
}

/** Rows divided by their greatest magnitude, two columns +1 and -1 that pin the range, the product, and back. */
function guardColumns(kind) {
  return (layer) => {
    const graph = new Graph(layer.K, layer.N);
    integerWeight(graph, layer, kind, 2);
    graph.constant('axis', 'int64', [1], new BigInt64Array([-1n]));
    graph.constant('tiny', 'float', [], new Float32Array([1e-30]));
    graph.constant('plus', 'float', [1], new Float32Array([1]));
    graph.constant('minus', 'float', [1], new Float32Array([-1]));
    graph.node('Abs', ['x'], 'magnitudes');
    graph.node('ReduceMax', ['magnitudes', 'axis'], 'greatest', { keepdims: 1 });
    graph.node('Max', ['greatest', 'tiny'], 'row_max');
    graph.node('Div', ['x', 'row_max'], 'normalized');
    graph.node('Div', ['row_max', 'row_max'], 'ones');
    graph.node('Mul', ['ones', 'minus'], 'minus_ones');
    graph.node('Concat', ['normalized', 'ones', 'minus_ones'], 'guarded', { axis: -1 });
    graph.node('DynamicQuantizeMatMul', ['guarded', 'w', 'w_scale', 'w_zero'], 'product', {}, MICROSOFT);
    graph.node('Mul', ['product', 'row_max'], 'y');
    return graph.encode();
  };
}

/** Rows divided by a scale of their own and rounded, one integer product with float results, and the scale of each row (as packs have it). */
function rowScales(kind) {
  return (layer) => {
    const graph = new Graph(layer.K, layer.N);
    integerWeight(graph, layer, kind);
    graph.constant('axis', 'int64', [1], new BigInt64Array([-1n]));
    graph.constant('tiny', 'float', [], new Float32Array([1e-30]));
    graph.constant('one', 'float', [], new Float32Array([1]));
    graph.constant('level', 'float', [], new Float32Array([1 / 127]));
    graph.constant('x_zero', 'uint8', [], new Uint8Array([128]));
    graph.node('Abs', ['x'], 'magnitudes');
    graph.node('ReduceMax', ['magnitudes', 'axis'], 'greatest', { keepdims: 1 });
    graph.node('Mul', ['greatest', 'level'], 'level_size');
    graph.node('Add', ['level_size', 'tiny'], 'row_scale');
    graph.node('Div', ['x', 'row_scale'], 'scaled');
    graph.node('QuantizeLinear', ['scaled', 'one', 'x_zero'], 'x_levels');
    const inputs = ['x_levels', 'w', 'one', 'w_scale', 'x_zero', 'w_zero'];
    graph.node('MatMulIntegerToFloat', inputs, 'product', {}, MICROSOFT);
    graph.node('Mul', ['product', 'row_scale'], 'y');
    return graph.encode();
  };
}

const ROUTES = {
  'fp32 FusedMatMul': float32Product,
  ...Object.fromEntries(
    [8, 4].flatMap((bits) =>
      [32, 64, 128].flatMap((size) =>
        [0, 4].map((level) => [
          `MatMulNBits ${bits} bits, block ${size}, level ${level}`,
          blockwise(bits, size, level),
        ]),
      ),
    ),
  ),
  ...Object.fromEntries(
    Object.entries(WEIGHTS).flatMap(([name, kind]) => [
      [`DynamicQuantizeMatMul, one scale, ${name}`, oneScale(kind)],
      [`guard columns, ${name}`, guardColumns(kind)],
      [`row scales, ${name}`, rowScales(kind)],
    ]),
  ),
};

async function run(session, x, rows, K) {
  const { y } = await session.run({ x: new Tensor('float32', x.subarray(0, rows * K), [rows, K]) });
  return y.data;
}

/** Mean of |y - exact| over the mean of |exact|, over some rows and columns computed in double precision. */
function relativeError(y, { weight, N, K }, x, rows) {
  let difference = 0;
  let magnitude = 0;
  for (let row = 0; row < rows; row += Math.ceil(rows / 16)) {
    for (let n = 0; n < N; n += 31) {
      let exact = 0;
      for (let k = 0; k < K; k++) exact += x[row * K + k] * weight[n * K + k];
      difference += Math.abs(y[row * N + n] - exact);
      magnitude += Math.abs(exact);
    }
  }
  return difference / magnitude;
}

/** Whether a row has the same bits alone, among 16 rows, and among all 320. */
async function rowsAreIndependent(session, x, K, N) {
  const all = await run(session, x, 320, K);
  for (const row of [0, 1, 7, 13]) {
    const alone = await run(session, x.subarray(row * K), 1, K);
    const among = await run(session, x.subarray(0), 16, K);
    for (let n = 0; n < N; n++) {
      if (alone[n] !== all[row * N + n] || among[row * N + n] !== all[row * N + n]) return false;
    }
  }
  return true;
}

/** The worst case of a 16-bit sum of two products: activations at their maximum against weights at theirs, all of one sign. */
async function saturates(build) {
  const [K, N, rows] = [128, 64, 8];
  const session = await open(build({ weight: new Float32Array(N * K).fill(0.5), N, K }));
  const y = await run(session, new Float32Array(rows * K).fill(2), rows, K);
  const single = await run(session, new Float32Array(K).fill(2), 1, K);
  await session.release();
  return [...y, ...single].some((value) => Math.abs(value / K - 1) > 0.02);
}

function open(model) {
  return InferenceSession.create(model, {
    executionMode: 'sequential',
    interOpNumThreads: 1,
    intraOpNumThreads: Number(options.threads),
    graphOptimizationLevel: 'basic',
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

const results = [];
for (const layer of LAYERS) {
  const { K, N } = layer;
  const weight = bellShaped(N * K, 1).map((value) => value * 0.02);
  const x = bellShaped(Math.max(...layer.rows, 320) * K, 2, K);
  const sessions = new Map();
  const lines = new Map();
  for (const [route, build] of Object.entries(ROUTES)) {
    const session = await open(build({ ...layer, weight }));
    const rows = 320;
    const error = relativeError(await run(session, x, rows, K), { ...layer, weight }, x, rows);
    const independent = await rowsAreIndependent(session, x, K, N);
    sessions.set(route, session);
    lines.set(route, { layer: layer.name, route, error, independent, saturates: await saturates(build), best: {} });
  }
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const rows of layer.rows) {
      for (const [route, session] of sessions) {
        const { best } = lines.get(route);
        const repetitions = Math.max(1, Math.min(20, Math.round(64 / rows)));
        await run(session, x, rows, K);
        for (let repetition = 0; repetition < repetitions; repetition++) {
          const began = performance.now();
          await run(session, x, rows, K);
          best[rows] = Math.min(best[rows] ?? Infinity, performance.now() - began);
        }
      }
    }
  }
  for (const session of sessions.values()) await session.release();
  for (const line of lines.values()) {
    const gigaops = Object.fromEntries(
      Object.entries(line.best).map(([rows, ms]) => [rows, Number(((2 * rows * K * N) / ms / 1e6).toFixed(1))]),
    );
    results.push({ ...line, gigaops });
    const speeds = Object.entries(gigaops).map(([rows, value]) => `${rows}: ${String(value).padStart(6)}`);
    const flags = `${line.independent ? 'same' : 'DEPENDS'} ${line.saturates ? 'SATURATES' : 'exact'}`;
    console.log(
      `${layer.name}  ${line.route.padEnd(48)} ${speeds.join('  ')}  error ${line.error.toFixed(5)}  ${flags}`,
    );
  }
}

const folder = options.out ?? join(ROOT, 'bench', 'runs', `${options.date}-${machineName()}`);
await mkdir(folder, { recursive: true });
const report = {
  machine: describeMachine(),
  versions: describeVersions(),
  setting: {
    threads: Number(options.threads),
    rounds: Number(options.rounds),
    unit: 'billion operations per second, best run',
  },
  results,
};
await writeFile(join(folder, 'int8-kernels.json'), `${JSON.stringify(report, null, 2)}\n`);
