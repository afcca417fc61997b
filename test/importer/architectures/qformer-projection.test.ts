/** Projections into the language model, against the same sums done by hand. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ShapeError } from '../../../src/errors.ts';
import { buildPatchProjection, projectToLanguage } from '../../../src/importer/architectures/qformer-projection.ts';
import { GraphBuilder } from '../../../src/importer/graph/builder.ts';
import { ExternalData } from '../../../src/importer/graph/external-data.ts';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';
import { CheckpointWeights } from '../../../src/importer/read/weights.ts';
import { float32Data, float32Tensor, Session } from '../../../src/runtime/session.ts';
import { writeSafetensors, type TestTensor } from '../write-safetensors.ts';

/** Sums of at most 24 products of numbers below 1. */
const ROUNDING = 1e-5;

let folder: string;
let file: SafetensorsFile | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-projection-'));
});

afterEach(async () => {
  await file?.close();
  file = undefined;
  await rm(folder, { recursive: true });
});

/** Numbers between -1 and 1 without a pattern that a wrong order would keep. */
function numbers(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * (seed + 0.7)));
}

function linearTensors(name: string, outputs: number, inputs: number, seed: number): Record<string, TestTensor> {
  return {
    [`${name}.weight`]: { shape: [outputs, inputs], values: numbers(outputs * inputs, seed) },
    [`${name}.bias`]: { shape: [outputs], values: numbers(outputs, seed + 1) },
  };
}

async function weightsOf(tensors: Record<string, TestTensor>): Promise<CheckpointWeights> {
  const path = join(folder, 'model.safetensors');
  await writeSafetensors(path, tensors);
  const opened = await SafetensorsFile.open(path);
  file = opened;
  return new CheckpointWeights(new Map([...opened.tensors].map(([name, tensor]) => [name, { tensor, file: opened }])), {
    where: path,
  });
}

/** Runs the graph `qformer` that `build` makes, on one input. */
async function run(build: (g: GraphBuilder) => void, x: Float32Array, dims: number[]): Promise<Float32Array> {
  const external = new ExternalData();
  const g = new GraphBuilder('qformer', external, 'fp32');
  build(g);
  await writeFile(join(folder, g.fileName), g.encode());
  await external.write(folder, () => {});
  const session = await Session.open(join(folder, g.fileName), {
    compute: { threads: 1 },
    inputs: ['image_embeds'],
    outputs: ['image_tokens'],
  });
  const results = await session.run({ image_embeds: float32Tensor(x, dims) }, { image_tokens: null });
  await session.dispose();
  return float32Data(results, 'image_tokens');
}

/** `x·Wᵀ + b` of one row. */
function linear(row: readonly number[], { values }: TestTensor, bias: TestTensor): number[] {
  return Array.from(bias.values, (b, n) =>
    row.reduce((sum, value, k) => sum + value * (values[n * row.length + k] ?? NaN), b),
  );
}

function byHand(row: readonly number[], tensors: Record<string, TestTensor>, name: string): number[] {
  const [weight, bias] = [tensors[`${name}.weight`], tensors[`${name}.bias`]];
  if (weight === undefined || bias === undefined) throw new Error(`${name} is not there`);
  return linear(row, weight, bias);
}

/** A graph that is nothing but the projection. */
function projection(weights: CheckpointWeights, width: number): (g: GraphBuilder) => void {
  return (g) => {
    const x = g.input('image_embeds', 'float', ['B', 2, 4]); // [B, 2, 4]
    g.output('image_tokens', projectToLanguage(g, weights, x, width)); // [B, 2, width]
  };
}

function expectClose(received: Float32Array, expected: readonly number[]): void {
  expect(received).toHaveLength(expected.length);
  received.forEach((value, i) => expect(Math.abs(value - (expected[i] ?? NaN))).toBeLessThan(ROUNDING));
}

describe('without a Q-Former', () => {
  test('the class token is dropped, and four patches that follow each other make a token', async () => {
    const tensors = linearTensors('language_projection', 5, 4 * 3, 1);
    const weights = await weightsOf(tensors);
    const embeds = numbers(2 * 9 * 3, 3); // [2, 9, 3]
    const imageTokens = await run((g) => buildPatchProjection(g, weights, 9, 3, 5), embeds, [2, 9, 3]);
    const rows = [0, 1].flatMap((image) =>
      [0, 1].map((token) => {
        const start = (image * 9 + 1 + 4 * token) * 3;
        return [...embeds.subarray(start, start + 12)];
      }),
    );
    expectClose(
      imageTokens,
      rows.flatMap((row) => byHand(row, tensors, 'language_projection')),
    ); // [2, 2, 5]
    expect(weights.leftOver.size).toBe(0);
  });

  test('patches that do not go into groups of four are refused', async () => {
    const weights = await weightsOf(linearTensors('language_projection', 5, 12, 1));
    const g = new GraphBuilder('qformer', new ExternalData(), 'fp32');
    expect(() => buildPatchProjection(g, weights, 10, 3, 5)).toThrow(/9 patches do not go into groups of 4/);
  });
});

describe('a projection of query outputs', () => {
  test('is one linear layer', async () => {
    const tensors = linearTensors('language_projection', 6, 4, 2);
    const weights = await weightsOf(tensors);
    const x = numbers(8, 5); // [1, 2, 4]
    const rows = [[...x.subarray(0, 4)], [...x.subarray(4)]];
    const expected = rows.flatMap((row) => byHand(row, tensors, 'language_projection'));
    expectClose(await run(projection(weights, 6), x, [1, 2, 4]), expected); // [1, 2, 6]
  });

  test('or two in a row with nothing between them, the width between read from the tensor', async () => {
    const tensors = {
      ...linearTensors('language_projection', 7, 4, 2),
      ...linearTensors('language_projection2', 3, 7, 4),
    };
    const weights = await weightsOf(tensors);
    const x = numbers(8, 6); // [1, 2, 4]
    const rows = [[...x.subarray(0, 4)], [...x.subarray(4)]];
    const expected = rows.flatMap((row) =>
      byHand(byHand(row, tensors, 'language_projection'), tensors, 'language_projection2'),
    );
    expectClose(await run(projection(weights, 3), x, [1, 2, 4]), expected); // [1, 2, 3]
    expect(weights.leftOver.size).toBe(0);
  });

  test('into another width than the language model has is refused', async () => {
    const weights = await weightsOf(linearTensors('language_projection', 6, 4, 2));
    const g = new GraphBuilder('qformer', new ExternalData(), 'fp32');
    expect(() => projection(weights, 8)(g)).toThrow(ShapeError);
  });
});
