/** From the options of an answer to the one who chooses its tokens: the only place that knows every strategy. */
import { BeamSearch } from '../language/beam-search.ts';
import type { Chooser } from '../language/chooser.ts';
import { ForcedChoices } from '../language/forced-choices.ts';
import { GenerationState, type RowLimits } from '../language/generation-state.ts';
import {
  banTokens,
  minNewTokens,
  noRepeatNgram,
  repetitionPenalty,
  type LogitFilter,
} from '../language/logit-filters.ts';
import { sampleFrom } from '../language/sampling.ts';
import type { StopRule } from '../language/stop-rule.ts';
import { endsWithSequence } from '../language/stop-sequences.ts';
import { holdsStopText, type RowDecoder } from '../language/stop-texts.ts';
import { hashWords, Random } from '../tensor/random.ts';
import type { GenerationOptions, PromptIds } from './model.ts';

/** What a chooser must know beside the options. */
export type AnswerStart = {
  /** Positions of the prompt in the cache. */
  length: number;
  /** Tokens that there is room for. */
  room: number;
  /** Stands for image and prompt in the seed of sampling, see `samplingKey`. */
  key: readonly number[];
  /** Begins the text of a row, for stop texts. */
  startDecoding: () => RowDecoder;
};

export function newChooser(options: GenerationOptions, { length, room, key, startDecoding }: AnswerStart): Chooser {
  const { maxNewTokens, eosTokenIds, score, search } = options;
  if (search?.kind === 'choices') return new ForcedChoices(length, search);
  const limits: RowLimits = {
    maxNewTokens: Math.min(maxNewTokens, room),
    eosTokenIds,
    stopRules: stopRulesOf(options, startDecoding),
    filters: filtersOf(options),
    score,
  };
  if (search === undefined) return new GenerationState(length, limits);
  if (search.kind === 'beams') {
    // One beam is a greedy row, which needs no ranking.
    return search.beams === 1 ? new GenerationState(length, limits) : new BeamSearch(length, limits, search);
  }
  return new GenerationState(length, limits, sampleFrom(Random.seeded([search.seed, ...key]), search));
}

/**
 * What the random numbers of an answer depend on beside the seed: the picture and the prompt, and nothing else. So an answer is drawn the same
 * alone, in any batch, in any order and under any file name; two copies of one picture get the same.
 *
 * @param pixelValues [3, S, S]
 */
export function samplingKey(pixelValues: Float32Array, segments: PromptIds['segments']): number[] {
  const pixels = new Uint32Array(pixelValues.buffer, pixelValues.byteOffset, pixelValues.length);
  // No token has the id -1, so segments cannot be mistaken for each other.
  const ids = segments.flatMap((segment) => [-1, ...(segment ?? [-2])]);
  return [hashWords(pixels), hashWords(Uint32Array.from(ids))];
}

/** In the order of transformers, which matters where one filter reads what another wrote. */
function filtersOf(options: GenerationOptions): LogitFilter[] {
  const { minNewTokens: least, repetitionPenalty: penalty, noRepeatNgram: ngram, eosTokenIds, stopSequences } = options;
  const filters: LogitFilter[] = [];
  if (options.bannedFrom !== undefined) filters.push(banTokens(options.bannedFrom));
  if (penalty !== 1) filters.push(repetitionPenalty(penalty));
  if (ngram > 0) filters.push(noRepeatNgram(ngram));
  if (least > 0) filters.push(minNewTokens(least, eosTokenIds, stopSequences));
  return filters;
}

function stopRulesOf(
  { stopSequences, stopTexts = [] }: GenerationOptions,
  startDecoding: () => RowDecoder,
): StopRule[] {
  const rules: StopRule[] = [];
  if (stopSequences.length > 0) rules.push(endsWithSequence(stopSequences));
  if (stopTexts.length > 0) rules.push(holdsStopText(stopTexts, startDecoding));
  return rules;
}
