/**
 * Runs a pack on the inputs of a golden record and compares every stage, so that a difference names its stage.
 *
 * Each stage is fed with the reference's own input where the record holds it, so differences do not pile up: what is shown for the Q-Former
 * is the Q-Former's. Logits and ids come from the whole way, since they are what a user gets.
 */
import { ImageError } from '../errors.ts';
import { Decoder } from '../language/decoder.ts';
import { KvCache } from '../language/kv-cache.ts';
import type { Pack } from '../pack/model-declaration.ts';
import { loadPromptFamily } from '../prompt/prompt-family.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { ImageEncoder } from '../vision/image-encoder.ts';
import { ContinuousBatch, type GeneratedRow } from './continuous-batch.ts';
import type { Golden, GoldenCase, GoldenPrompt } from './golden.ts';

/** How far a stage is from the reference, over all its elements. */
export type StageDifference = {
  stage: string;
  elements: number;
  largest: number;
  mean: number;
  cosine: number;
  /** Largest difference allowed. */
  tolerance: number;
  ok: boolean;
};

export type CaseCheck = {
  image: string;
  prompt: string;
  expected: readonly number[];
  received: readonly number[] | string;
  ok: boolean;
};

export type GoldenReport = {
  stages: StageDifference[];
  /** Prompts whose text our tokenizer turned into the reference's ids. */
  prompts: { checked: number; equal: number };
  /** Each way of running the greedy cases, with those that differ. */
  runs: { name: string; checked: number; equal: number; different: CaseCheck[] }[];
  /** Cases with options that this version cannot decode with, by option. */
  notRun: ReadonlyMap<string, number>;
};

type Loaded = { encoder: ImageEncoder; decoder: Decoder; tokenizer: Tokenizer; cleanUp: (text: string) => string };

/**
 * @param tolerance replaces the record's own tolerances (`--atol`)
 * @throws PackError when the pack cannot be loaded or the record lacks pixel_values.
 */
export async function checkGolden(
  pack: Pack,
  golden: Golden,
  threads: number,
  tolerance?: number,
): Promise<GoldenReport> {
  const encoder = await ImageEncoder.load(pack, threads);
  const decoder = await Decoder.load(pack, threads);
  try {
    const prompts = await loadPromptFamily(pack.declaration.promptFamily);
    const tokenizer = await loadTokenizer(pack.directory);
    const loaded = { encoder, decoder, tokenizer, cleanUp: (text: string) => prompts.cleanUp(text) };
    const hidden = tolerance ?? golden.tolerance.hidden;
    const stages: StageDifference[] = [];
    const imageTokens = await checkVision(loaded, golden, hidden, stages);
    await checkProbes(loaded, golden, imageTokens, { hidden, logits: tolerance ?? golden.tolerance.logits }, stages);
    return {
      stages,
      prompts: checkPrompts(golden.prompts, tokenizer),
      runs: await checkCases(loaded, golden, imageTokens),
      notRun: countNotRun(golden.cases),
    };
  } finally {
    await encoder.dispose();
    await decoder.dispose();
  }
}

/** Compares the stages of vision, and returns the image tokens [Q, d] of every image. */
async function checkVision(
  { encoder }: Loaded,
  golden: Golden,
  tolerance: number,
  stages: StageDifference[],
): Promise<Float32Array[]> {
  const pixelValues = await golden.tensor('pixel_values');
  if (pixelValues === undefined) throw new RangeError('golden.safetensors holds no pixel_values');
  const length = pixelValues.length / golden.images.length;
  const images = golden.images.map((_, image) => pixelValues.slice(image * length, (image + 1) * length));
  const staged = images.slice(0, golden.stageImages);
  const together = await encoder.encodeStages(staged);
  await compareStage('vision (image_embeds)', golden.tensor('image_embeds'), together.imageEmbeds, tolerance, stages);
  await compareStage('Q-Former (query_output)', golden.tensor('query_output'), together.queryOutput, tolerance, stages);
  await compareStage(
    'projection (image_tokens)',
    golden.tensor('image_tokens'),
    together.imageTokens,
    tolerance,
    stages,
  );

  const imageTokens: Float32Array[] = [];
  for (const image of images) imageTokens.push(...(await encoder.encode([image])));
  return imageTokens;
}

async function checkProbes(
  loaded: Loaded,
  golden: Golden,
  imageTokens: readonly Float32Array[],
  tolerance: { hidden: number; logits: number },
  stages: StageDifference[],
): Promise<void> {
  const { decoder } = loaded;
  const { hiddenSize, numHiddenLayers, numAttentionHeads, headDim } = decoder.declaration;
  const embeds: Pair[] = [];
  const firstLogits: Pair[] = [];
  const stepLogits: Pair[] = [];
  for (const probe of golden.probes) {
    const prompt = golden.prompts[probe.prompt];
    const image = imageTokens[probe.image];
    if (prompt === undefined || image === undefined)
      throw new RangeError(`probe ${probe.index} names an image or prompt that is not there`);
    const row = await embedPrompt(decoder, prompt, image);
    const length = row.length / hiddenSize;
    embeds.push([await golden.tensor(`probe${probe.index}.inputs_embeds`), row]);
    const cache = new KvCache({
      rows: 1,
      layers: numHiddenLayers,
      heads: numAttentionHeads,
      maxLength: length + probe.forcedIds.length,
      headDim,
    });
    const first = await decoder.prefill(cache, 0, [{ embeds: row, length }]);
    firstLogits.push([await golden.tensor(`probe${probe.index}.first_logits`), first]);
    if (probe.forcedIds.length === 0) continue;
    const steps = [...first];
    for (const [step, id] of probe.forcedIds.entries())
      steps.push(...(await decoder.step(cache, [id], [length + step])));
    const expected = await golden.tensor(`probe${probe.index}.step_logits`);
    // Some records end with the logits before the last forced id, others after it.
    stepLogits.push([expected, Float32Array.from(steps).subarray(0, expected?.length)]);
  }
  compareAll('prompt embeddings (inputs_embeds)', embeds, tolerance.hidden, stages);
  compareAll('first logits', firstLogits, tolerance.logits, stages);
  compareAll('step logits', stepLogits, tolerance.logits, stages);
}

async function embedPrompt(decoder: Decoder, prompt: GoldenPrompt, imageTokens: Float32Array): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const ids of prompt.segmentIds) parts.push(ids === null ? imageTokens : await decoder.embedTokens(ids));
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

function checkPrompts(prompts: readonly GoldenPrompt[], tokenizer: Tokenizer): GoldenReport['prompts'] {
  const equal = prompts.filter(({ segments, segmentIds }) =>
    segments.every((segment, index) => {
      const expected = segmentIds[index];
      if (expected === null || expected === undefined) return segment === '<image>';
      return sameIds(tokenizer.encode(segment, { addSpecialTokens: true }), expected);
    }),
  );
  return { checked: prompts.length, equal: equal.length };
}

/** Runs the greedy cases alone, all together, and in reverse order through fewer rows than there are cases. */
async function checkCases(
  loaded: Loaded,
  golden: Golden,
  imageTokens: readonly Float32Array[],
): Promise<GoldenReport['runs']> {
  const cases = golden.cases.filter((recorded) => recorded.otherOptions.length === 0);
  const runs = [
    { name: 'alone', cases, rows: 1 },
    { name: 'in a batch of 16', cases, rows: 16 },
    { name: 'reversed, continuous batch of 5', cases: cases.toReversed(), rows: 5 },
  ];
  const reports: GoldenReport['runs'] = [];
  for (const run of runs) {
    const results = await generate(loaded.decoder, golden, run.cases, imageTokens, run.rows);
    const different = run.cases
      .map((recorded, index) => compareCase(loaded, golden, recorded, results[index]))
      .filter((check) => !check.ok);
    reports.push({ name: run.name, checked: run.cases.length, equal: run.cases.length - different.length, different });
  }
  return reports;
}

async function generate(
  decoder: Decoder,
  golden: Golden,
  cases: readonly GoldenCase[],
  imageTokens: readonly Float32Array[],
  rows: number,
): Promise<(GeneratedRow | ImageError)[]> {
  const batch = new ContinuousBatch(decoder, rows, longestRow(decoder, golden, cases, imageTokens));
  const results: (GeneratedRow | ImageError)[] = [];
  cases.forEach((recorded, index) => {
    const image = imageTokens[recorded.image];
    const prompt = golden.prompts[recorded.prompt];
    if (image === undefined || prompt === undefined)
      throw new RangeError(`case ${index} names an image or prompt that is not there`);
    const { maxNewTokens, minNewTokens } = recorded;
    batch.add({
      imageTokens: image,
      segments: prompt.segmentIds,
      options: { maxNewTokens, minNewTokens, score: false },
      resolve: (result) => {
        results[index] = result;
      },
    });
  });
  while (!batch.isIdle) await batch.advance();
  return results;
}

function longestRow(
  decoder: Decoder,
  golden: Golden,
  cases: readonly GoldenCase[],
  imageTokens: readonly Float32Array[],
): number {
  const { hiddenSize, maxPositionEmbeddings } = decoder.declaration;
  const imageLength = (imageTokens[0]?.length ?? 0) / hiddenSize;
  const lengths = cases.map((recorded) => {
    const ids = golden.prompts[recorded.prompt]?.segmentIds ?? [];
    return ids.reduce((sum, segment) => sum + (segment?.length ?? imageLength), recorded.maxNewTokens);
  });
  return Math.min(Math.max(...lengths), maxPositionEmbeddings);
}

function compareCase(
  loaded: Loaded,
  golden: Golden,
  expected: GoldenCase,
  result: GeneratedRow | ImageError | undefined,
): CaseCheck {
  const image = golden.images[expected.image] ?? '';
  const prompt = golden.prompts[expected.prompt]?.segments.join('') ?? '';
  if (result === undefined || result instanceof ImageError) {
    return { image, prompt, expected: expected.ids, received: result?.message ?? 'no answer', ok: false };
  }
  const text = loaded.cleanUp(loaded.tokenizer.decode(result.tokenIds));
  const ok =
    sameIds(result.tokenIds, expected.ids) &&
    result.finishReason === expected.finishReason &&
    (expected.text === undefined || text === expected.text);
  return { image, prompt, expected: expected.ids, received: result.tokenIds, ok };
}

function countNotRun(cases: readonly GoldenCase[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { otherOptions } of cases) {
    if (otherOptions.length === 0) continue;
    const name = otherOptions.join(' + ');
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}

type Pair = readonly [expected: Float32Array | undefined, received: Float32Array];

async function compareStage(
  stage: string,
  expected: Promise<Float32Array | undefined>,
  received: Float32Array,
  tolerance: number,
  stages: StageDifference[],
): Promise<void> {
  compareAll(stage, [[await expected, received]], tolerance, stages);
}

/** Element by element over all pairs whose reference is recorded; a stage without any reference is left out. */
function compareAll(stage: string, pairs: readonly Pair[], tolerance: number, stages: StageDifference[]): void {
  let elements = 0;
  let largest = 0;
  let sum = 0;
  let product = 0;
  let expectedSquares = 0;
  let receivedSquares = 0;
  for (const [expected, received] of pairs) {
    if (expected === undefined) continue;
    if (expected.length !== received.length) {
      throw new RangeError(
        `${stage}: the reference holds ${expected.length} numbers, the pack yields ${received.length}`,
      );
    }
    elements += expected.length;
    for (let i = 0; i < expected.length; i++) {
      const a = expected[i] as number;
      const b = received[i] as number;
      const difference = Math.abs(a - b);
      largest = Math.max(largest, difference); // NaN stays, and is never within a tolerance
      sum += difference;
      product += a * b;
      expectedSquares += a * a;
      receivedSquares += b * b;
    }
  }
  if (elements === 0) return;
  const cosine = product / Math.sqrt(expectedSquares * receivedSquares);
  stages.push({ stage, elements, largest, mean: sum / elements, cosine, tolerance, ok: largest <= tolerance });
}
