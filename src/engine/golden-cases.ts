/** The texts of a golden record, decoded by us: each alone, all together, in another order, and turn by turn. */
import { ImageError } from '../errors.ts';
import type { LanguageModel } from '../language/language-model.ts';
import { ContinuousBatch, type GeneratedRow } from './continuous-batch.ts';
import type { Golden, GoldenCase, GoldenOptions, GoldenPrompt } from './golden.ts';
import { goldenRun, sameIds, type CaseCheck, type GoldenRun } from './golden-report.ts';
import type { ImageTokensOf } from './golden-stages.ts';
import type { GenerationOptions } from './model.ts';
import type { ModelTexts } from './model-texts.ts';

/** A text to decode, and what is to come out. */
export type Wanted = {
  image: number;
  prompt: GoldenPrompt;
  options: GenerationOptions;
  ids: readonly number[];
  text: string | undefined;
  finishReason: string | undefined;
  /** The text of generated ids, as the reference recorded it. */
  textOf: (tokenIds: readonly number[]) => string;
};

/** Options that a case may have and this version cannot decode with, counted. */
export function countNotRun(golden: Golden): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { options } of [...golden.cases, ...golden.conversations]) {
    if (options.others.length === 0) continue;
    const name = options.others.join(' + ');
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** Runs the cases of a language pack in every way. */
export async function checkCases(
  language: LanguageModel,
  texts: ModelTexts,
  golden: Golden,
  imageTokensOf: ImageTokensOf,
): Promise<GoldenRun[]> {
  const wanted = golden.cases
    .filter(({ options }) => options.others.length === 0)
    .map((recorded) => wantedOfCase(recorded, golden, texts));
  return checkDecoding(language, wanted, golden, imageTokensOf);
}

/** Decodes the texts alone, all together, and in reverse order through fewer rows than there are texts. */
export async function checkDecoding(
  language: LanguageModel,
  wanted: readonly Wanted[],
  golden: Golden,
  imageTokensOf: ImageTokensOf,
): Promise<GoldenRun[]> {
  if (wanted.length === 0) return [];
  const runs: GoldenRun[] = [];
  for (const { name, cases, rows } of [
    { name: 'greedy, alone', cases: wanted, rows: 1 },
    { name: 'greedy, in a batch of 16', cases: wanted, rows: 16 },
    { name: 'greedy, reversed, continuous batch of 5', cases: wanted.toReversed(), rows: 5 },
  ]) {
    const results = await generate(language, cases, imageTokensOf, rows);
    const checks = cases.map((one, index) => check(one, results[index], golden));
    runs.push(goldenRun(name, checks));
  }
  return runs;
}

/** Runs every turn of every conversation, with the answers before it as the reference gave them. */
export async function checkConversations(
  language: LanguageModel,
  texts: ModelTexts,
  golden: Golden,
  imageTokensOf: ImageTokensOf,
): Promise<GoldenRun[]> {
  const wanted = golden.conversations
    .filter(({ options }) => options.others.length === 0)
    .flatMap(({ image, options, stopSequences, eosTokenId, turns }) =>
      turns.map((turn): Wanted => ({
        image,
        prompt: turn,
        options: generationOptions(options, [eosTokenId], stopSequences),
        ids: turn.ids,
        text: turn.answer,
        finishReason: undefined,
        textOf: (tokenIds) => texts.prompts.cleanUp(texts.decode(tokenIds)),
      })),
    );
  if (wanted.length === 0) return [];
  const results = await generate(language, wanted, imageTokensOf, 4);
  return [
    goldenRun(
      'conversations',
      wanted.map((one, index) => check(one, results[index], golden)),
    ),
  ];
}

function wantedOfCase(recorded: GoldenCase, golden: Golden, texts: ModelTexts): Wanted {
  const prompt = golden.prompts[recorded.prompt ?? -1];
  if (prompt === undefined) throw new RangeError('a case names a prompt that is not there');
  return {
    image: recorded.image,
    prompt,
    options: generationOptions(recorded.options, golden.stopIds, []),
    ids: recorded.ids,
    text: recorded.text,
    finishReason: recorded.finishReason,
    textOf: (tokenIds) => texts.prompts.cleanUpGenerated(texts.decode(tokenIds)),
  };
}

export function generationOptions(
  options: GoldenOptions,
  eosTokenIds: readonly number[],
  stopSequences: readonly (readonly number[])[],
): GenerationOptions {
  const { maxNewTokens, minNewTokens, repetitionPenalty, noRepeatNgram } = options;
  return { maxNewTokens, minNewTokens, repetitionPenalty, noRepeatNgram, eosTokenIds, stopSequences, score: false };
}

async function generate(
  language: LanguageModel,
  cases: readonly Wanted[],
  imageTokensOf: ImageTokensOf,
  rows: number,
): Promise<(GeneratedRow | ImageError)[]> {
  const { hiddenSize } = language.declaration;
  const imageTokens = await Promise.all(cases.map(async ({ image, prompt }) => imageTokensOf(image, prompt)));
  const lengths = cases.map(({ prompt, options }, index) => {
    const image = (imageTokens[index]?.length ?? 0) / hiddenSize;
    const prefix = prompt.segmentIds.reduce((sum, ids) => sum + (ids?.length ?? image), 0);
    return language.positionsNeeded(prefix, options.maxNewTokens);
  });
  const batch = new ContinuousBatch(language, rows, Math.max(...lengths));
  const results: (GeneratedRow | ImageError)[] = [];
  cases.forEach(({ prompt, options }, index) => {
    batch.add({
      imageTokens: imageTokens[index] ?? new Float32Array(),
      segments: prompt.segmentIds,
      options,
      resolve: (result) => {
        results[index] = result;
      },
    });
  });
  while (!batch.isIdle) await batch.advance();
  return results;
}

function check(wanted: Wanted, result: GeneratedRow | ImageError | undefined, golden: Golden): CaseCheck {
  const image = golden.images[wanted.image] ?? '';
  const prompt = wanted.prompt.segments.join('');
  if (result === undefined || result instanceof ImageError) {
    return { image, prompt, expected: wanted.ids, received: result?.message ?? 'no answer', ok: false };
  }
  const text = wanted.textOf(result.tokenIds);
  const ok =
    sameIds(result.tokenIds, wanted.ids) &&
    (wanted.finishReason === undefined || result.finishReason === wanted.finishReason) &&
    (wanted.text === undefined || text === wanted.text);
  return { image, prompt, expected: wanted.ids, received: result.tokenIds, ok };
}
