/** The texts of a golden record, decoded by us: each alone, all together, in another order, and turn by turn. */
import { ImageError, UsageError } from '../../errors.ts';
import type { LanguageModel } from '../../language/language-model.ts';
import { required } from '../../required.ts';
import { ContinuousBatch, type GeneratedRow } from '../answers/continuous-batch.ts';
import type { Golden, GoldenCase, GoldenOptions, GoldenPrompt } from './record.ts';
import { goldenRun, sameIds, type CaseCheck, type GoldenRun } from './report.ts';
import type { ImageTokensOf } from './stages.ts';
import { rowsPerAnswer, type GenerationOptions } from '../model.ts';
import { promptLength, type ImagePrompt } from '../prompt-embeds.ts';
import type { ModelTexts } from '../texts/model-texts.ts';
import { compareStage, type StageDifference } from './stage-difference.ts';

/** A text to decode, and what is to come out. */
export type Wanted = {
  image: number;
  prompt: GoldenPrompt;
  options: GenerationOptions;
  ids: readonly number[];
  text: string | undefined;
  finishReason: string | undefined;
  /** What its beams were ranked by. */
  score: number | undefined;
  /** The text of generated ids, as the reference recorded it. */
  textOf: (tokenIds: readonly number[]) => string;
};

/** The ways of decoding, and how far the scores of beams are off where the ids are equal. */
export type DecodingCheck = { runs: GoldenRun[]; scores: StageDifference | undefined };

/** Options that a case may have and this version cannot decode with, counted. */
export function countNotRun(golden: Golden): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { options } of [...golden.cases, ...golden.conversations]) {
    if (options.others.length === 0) continue;
    const name = options.others.join(' + ');
    const known = counts.get(name);
    counts.set(name, known === undefined ? 1 : known + 1);
  }
  return counts;
}

/** Runs the cases of a language pack in every way. */
export async function checkCases(
  language: LanguageModel,
  texts: ModelTexts,
  golden: Golden,
  imageTokensOf: ImageTokensOf,
  tolerance: number,
): Promise<DecodingCheck> {
  const wanted = golden.cases
    .filter(({ options }) => options.others.length === 0)
    .map((recorded) => wantedOfCase(recorded, golden, texts));
  return checkDecoding(language, wanted, golden, imageTokensOf, tolerance);
}

/**
 * Decodes the texts alone, all together, and in reverse order through fewer places than there are texts.
 *
 * @param tolerance how far the scores of beams may be off
 */
export async function checkDecoding(
  language: LanguageModel,
  wanted: readonly Wanted[],
  golden: Golden,
  imageTokensOf: ImageTokensOf,
  tolerance: number,
): Promise<DecodingCheck> {
  const decode = async (cases: readonly Wanted[], places: number): Promise<Decoded[]> => {
    const results = await generate(language, cases, imageTokensOf, places);
    return cases.map((one, index) => ({
      wanted: one,
      result: results[index],
      check: checkCase(one, results[index], golden),
    }));
  };
  const runs: GoldenRun[] = [];
  const everyWay = async (
    strategy: string,
    cases: readonly Wanted[],
    batched: readonly Decoded[],
  ): Promise<Decoded[]> => {
    if (cases.length === 0) return [];
    const ways = {
      alone: await decode(cases, 1),
      'in a batch of 16': batched,
      'reversed, continuous batch of 5': await decode(cases.toReversed(), 5),
    };
    for (const [way, decoded] of Object.entries(ways)) {
      const checks = decoded.map((one) => one.check);
      runs.push(goldenRun(`${strategy}, ${way}`, checks));
    }
    return Object.values(ways).flat();
  };
  const greedy = wanted.filter(({ options }) => options.search === undefined);
  await everyWay('greedy', greedy, await decode(greedy, 16));
  const beams = wanted.filter(({ options }) => options.search !== undefined);
  const later = beams.map(judgedByOpenBeams);
  // No record says which of two published rules ended its searches: it is the one that explains more of them.
  const batchedBeams = await decode(beams, 16);
  const batchedLater = await decode(later, 16);
  const searched =
    equalCount(batchedLater) > equalCount(batchedBeams)
      ? await everyWay('beams with the end of transformers 5', later, batchedLater)
      : await everyWay('beams', beams, batchedBeams);
  return { runs, scores: compareScores(searched, tolerance) };
}

/** A text as it was wanted and as it came out. */
type Decoded = { wanted: Wanted; result: GeneratedRow | ImageError | undefined; check: CaseCheck };

function equalCount(decoded: readonly Decoded[]): number {
  return decoded.filter(({ check: { ok } }) => ok).length;
}

function judgedByOpenBeams(wanted: Wanted): Wanted {
  const { search } = wanted.options;
  if (search?.kind !== 'beams') return wanted;
  return { ...wanted, options: { ...wanted.options, search: { ...search, bound: 'open beams' } } };
}

/** Of the cases whose ids are equal; the others have scores of other texts. */
function compareScores(searched: readonly Decoded[], tolerance: number): StageDifference | undefined {
  const expected: number[] = [];
  const received: number[] = [];
  for (const { wanted, result, check } of searched) {
    if (!check.ok || wanted.score === undefined || result === undefined || result instanceof ImageError) continue;
    const unit = unitOfScore(wanted.options, result.tokenIds.length);
    expected.push(wanted.score / unit);
    received.push((result.beamScore ?? result.score) / unit);
  }
  return compareStage('beam scores', [[Float32Array.from(expected), Float32Array.from(received)]], tolerance);
}

/**
 * What a score is compared in. A negative length penalty multiplies the sum of log-probabilities by a power of the length, and the rounding of
 * every logit with it: there it is the sum that is compared.
 */
function unitOfScore({ search }: GenerationOptions, length: number): number {
  const lengthPenalty = search?.kind === 'beams' ? search.lengthPenalty : 0;
  return lengthPenalty < 0 ? length ** -lengthPenalty : 1;
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
        score: undefined,
        textOf: (tokenIds) => texts.prompts.cleanUp(texts.decode(tokenIds)),
      })),
    );
  if (wanted.length === 0) return [];
  const results = await generate(language, wanted, imageTokensOf, 4);
  return [
    goldenRun(
      'conversations',
      wanted.map((one, index) => checkCase(one, results[index], golden)),
    ),
  ];
}

function wantedOfCase(recorded: GoldenCase, golden: Golden, texts: ModelTexts): Wanted {
  const prompt = recorded.prompt === undefined ? undefined : golden.prompts[recorded.prompt];
  if (prompt === undefined) throw new UsageError('a case of golden.json names a prompt that is not there.');
  return {
    image: recorded.image,
    prompt,
    options: generationOptions(recorded.options, golden.stopIds, []),
    ids: recorded.ids,
    text: recorded.text,
    finishReason: recorded.finishReason,
    score: recorded.score,
    textOf: (tokenIds) => texts.prompts.cleanUpGenerated(texts.decode(tokenIds)),
  };
}

export function generationOptions(
  options: GoldenOptions,
  eosTokenIds: readonly number[],
  stopSequences: readonly (readonly number[])[],
): GenerationOptions {
  const { maxNewTokens, minNewTokens, repetitionPenalty, noRepeatNgram, beams, lengthPenalty } = options;
  return {
    maxNewTokens,
    minNewTokens,
    repetitionPenalty,
    noRepeatNgram,
    eosTokenIds,
    stopSequences,
    score: false,
    ...(beams === 1 ? {} : { search: { kind: 'beams', beams, lengthPenalty } }),
  };
}

async function generate(
  language: LanguageModel,
  cases: readonly Wanted[],
  imageTokensOf: ImageTokensOf,
  places: number,
): Promise<(GeneratedRow | ImageError)[]> {
  if (cases.length === 0) return [];
  const prompts: ImagePrompt[] = [];
  for (const { image, prompt } of cases)
    prompts.push({ segments: prompt.segmentIds, imageTokens: await imageTokensOf(image, prompt) });
  const asked = cases.map(({ options }, index) => ({ ...required(prompts[index], 'the prompt of a case'), options }));
  const lengths = asked.map(({ options, ...prompt }) =>
    language.positionsNeeded(promptLength(prompt, language.declaration), options.maxNewTokens),
  );
  const rows = places * Math.max(...cases.map(({ options }) => rowsPerAnswer(options)));
  const batch = new ContinuousBatch(language, rows, Math.max(...lengths));
  const results: (GeneratedRow | ImageError)[] = [];
  asked.forEach((one, index) => {
    batch.add({
      ...one,
      resolve: (result) => {
        results[index] = result;
      },
    });
  });
  while (!batch.isIdle) await batch.advance();
  return results;
}

function checkCase(wanted: Wanted, result: GeneratedRow | ImageError | undefined, golden: Golden): CaseCheck {
  const image = required(golden.images[wanted.image], 'the image of a case');
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
