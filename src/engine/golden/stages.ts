/**
 * The stages of a language pack against a golden record. Each stage is fed with the reference's own input where the record holds it, so
 * differences do not pile up; logits come from the whole way, since they are what a user gets.
 */
import { UsageError } from '../../errors.ts';
import type { EncoderDecoder } from '../../language/encoder-decoder.ts';
import type { LanguageModel } from '../../language/language-model.ts';
import { required } from '../../required.ts';
import type { ImageEmbeds } from '../../vision/image-embeds.ts';
import type { ImageEncoder } from '../../vision/image-encoder.ts';
import { embedPrompt } from '../prompt-embeds.ts';
import type { Golden, GoldenPrompt } from './record.ts';
import { compareStage, type StageDifference, type StagePair } from './stage-difference.ts';

export type GoldenModel = { encoder: ImageEncoder; language: LanguageModel };

/** Image tokens [Q, d] of an image for a prompt of the record. */
export type ImageTokensOf = (image: number, prompt: GoldenPrompt) => Promise<Float32Array>;

/** The rows of `pixel_values`, one [3, S, S] per image. @throws UsageError when the record has none. */
export async function pixelValuesOf(golden: Golden): Promise<Float32Array[]> {
  const pixelValues = await golden.tensor('pixel_values');
  if (pixelValues === undefined)
    throw new UsageError('golden.safetensors has no pixel_values. The record is incomplete.');
  const length = pixelValues.length / golden.images.length;
  return golden.images.map((_, image) => pixelValues.slice(image * length, (image + 1) * length));
}

/** Compares image embeddings, query outputs and image tokens: once, or for every prompt where the Q-Former reads it. */
export async function checkVision(
  { encoder }: GoldenModel,
  golden: Golden,
  tolerance: number,
): Promise<StageDifference[]> {
  const staged = (await pixelValuesOf(golden)).slice(0, golden.stageImages);
  const vision: StagePair[] = [];
  const queries: StagePair[] = [];
  const projected: StagePair[] = [];
  const readings = encoder.readsInstruction
    ? golden.prompts.map((prompt, index) => ({ instruction: instructionOf(prompt), prefix: `prompt${index}.` }))
    : [{ instruction: undefined, prefix: '' }];
  for (const { instruction, prefix } of readings) {
    const stages = await encoder.encodeStages(staged, instruction);
    if (vision.length === 0) vision.push([await golden.tensor('image_embeds'), stages.imageEmbeds]);
    if (stages.queryOutput !== undefined)
      queries.push([await golden.tensor(`${prefix}query_output`), stages.queryOutput]);
    projected.push([await golden.tensor(`${prefix}image_tokens`), stages.imageTokens]);
  }
  return [
    compareStage('vision (image_embeds)', vision, tolerance),
    compareStage('Q-Former (query_output)', queries, tolerance),
    compareStage('projection (image_tokens)', projected, tolerance),
  ].filter((stage) => stage !== undefined);
}

function instructionOf({ qformerIds }: GoldenPrompt): readonly number[] {
  return required(qformerIds, 'the instruction of a recorded prompt');
}

/** Makes image tokens, embedding each image once and alone, so that the numbers are those of a single image. */
export async function imageTokensByPrompt({ encoder }: GoldenModel, golden: Golden): Promise<ImageTokensOf> {
  const embeds: ImageEmbeds[] = [];
  for (const pixelValues of await pixelValuesOf(golden)) embeds.push(await encoder.embedImages([pixelValues]));
  const known = new Map<string, Promise<Float32Array>>();
  const compute = async (image: number, prompt: GoldenPrompt): Promise<Float32Array> => {
    const imageEmbeds = embeds[image];
    if (imageEmbeds === undefined)
      throw new UsageError(`golden.json names image ${image}, which the record does not have.`);
    const instructions = encoder.readsInstruction ? [instructionOf(prompt)] : undefined;
    const [imageTokens] = await encoder.imageTokens(imageEmbeds, [0], instructions);
    if (imageTokens === undefined) throw new RangeError('an image should have image tokens');
    return imageTokens;
  };
  return async (image, prompt) => {
    const key = `${image}:${encoder.readsInstruction ? instructionOf(prompt).join() : ''}`;
    const tokens = known.get(key) ?? compute(image, prompt);
    known.set(key, tokens);
    return tokens;
  };
}

/**
 * Compares the prompt's embeddings, the encoder's output where there is one, and the logits of the first and of further steps. A vocabulary may have
 * been padded with rows that no token has, for the sake of the hardware: logits are compared as far as the record's vocabulary goes.
 */
export async function checkProbes(
  { language }: GoldenModel,
  golden: Golden,
  imageTokensOf: ImageTokensOf,
  tolerance: { hidden: number; logits: number },
): Promise<StageDifference[]> {
  const { vocabSize } = language.declaration;
  const vocabulary = vocabSize - (await paddedRows(vocabSize, golden));
  const embeds: StagePair[] = [];
  const encoded: StagePair[] = [];
  const firstLogits: StagePair[] = [];
  const stepLogits: StagePair[] = [];
  for (const { index, image, prompt: promptIndex, forcedIds } of golden.probes) {
    const prompt = golden.prompts[promptIndex];
    if (prompt === undefined) {
      throw new UsageError(`probe ${index} of golden.json names prompt ${promptIndex}, which is not there.`);
    }
    const imageTokens = await imageTokensOf(image, prompt); // [Q, d]
    const row = await embedPrompt(language, { segments: prompt.segmentIds, imageTokens }); // [T, d]
    embeds.push([await golden.tensor(`probe${index}.inputs_embeds`), row.embeds]);
    if (isEncoderDecoder(language)) {
      encoded.push([await golden.tensor(`probe${index}.encoder_output`), await language.encode(row)]);
    }
    const cache = language.newCache(1, language.positionsNeeded(row.length, forcedIds.length + 1));
    const { logits: first, lengths } = await language.prefill(cache, 0, [row]);
    firstLogits.push([await golden.tensor(`probe${index}.first_logits`), first.subarray(0, vocabulary)]);
    if (forcedIds.length === 0) continue;
    const length = required(lengths[0], 'the length of a prompt that was read');
    const steps = new Float32Array((forcedIds.length + 1) * vocabulary);
    steps.set(first.subarray(0, vocabulary));
    for (const [step, id] of forcedIds.entries()) {
      const logits = await language.step(cache, [id], [length + step]);
      steps.set(logits.subarray(0, vocabulary), (step + 1) * vocabulary);
    }
    const expected = await golden.tensor(`probe${index}.step_logits`);
    // Some records end with the logits before the last forced id, others after it.
    stepLogits.push([expected, steps.subarray(0, expected?.length)]);
  }
  return [
    compareStage('prompt embeddings (inputs_embeds)', embeds, tolerance.hidden),
    compareStage('encoder (encoder_output)', encoded, tolerance.hidden),
    compareStage('first logits', firstLogits, tolerance.logits),
    compareStage('step logits', stepLogits, tolerance.logits),
  ].filter((stage) => stage !== undefined);
}

/** How many rows the pack's vocabulary has behind those of the record. */
export async function paddedRows(vocabSize: number, golden: Golden): Promise<number> {
  for (const { index } of golden.probes) {
    const logits = await golden.tensor(`probe${index}.first_logits`);
    if (logits !== undefined) return Math.max(vocabSize - logits.length, 0);
  }
  return 0;
}

function isEncoderDecoder(language: LanguageModel): language is EncoderDecoder {
  return language.declaration.kind === 'encoder-decoder';
}
