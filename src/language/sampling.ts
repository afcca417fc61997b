/**
 * Sampling: the next token is drawn by its probability, after the temperature has flattened or sharpened the distribution and the unlikely
 * tokens have been cut off. Order and meaning are those of transformers: temperature, top-k, top-p, then one draw.
 *
 * Everything is computed in double precision from the row's own logits, so a row draws the same alone and in any batch; and with nothing but
 * additions, multiplications and divisions, so two machines whose logits are equal draw the same. The logits themselves differ in their
 * last digits between processors with other instruction sets: where a drawn number falls just there, which is once in some hundred thousand
 * tokens, the texts part.
 */
import { required } from '../required.ts';
import { exponential } from '../tensor/exponential.ts';
import type { Random } from '../tensor/random.ts';
import { BestCandidates } from './best-candidates.ts';
import type { TokenChoice } from './generation-state.ts';
import { chooseGreedily } from './greedy.ts';

export type SamplingOptions = {
  kind: 'sampling';
  /** Logits are divided by it: below 1 likely tokens become likelier. More than 0. */
  temperature: number;
  /** Only so many of the likeliest tokens can be drawn; 0 leaves all. */
  topK: number;
  /** Only the smallest set of likeliest tokens that reaches this probability can be drawn, at least one; 1 leaves all. */
  topP: number;
  /** Which of all possible answers is drawn. */
  seed: number;
};

/**
 * Tokens that can be drawn, with weights in proportion to their probabilities: likeliest first, of equals the lower id first; in the order of
 * their ids where none is cut off.
 */
export type DrawableTokens = { tokenIds: readonly number[]; weights: readonly number[] };

/** The likeliest tokens are looked for in sets of this size, and of its multiples by itself where it is too small. */
const FIRST_LOOK = 64;

/** A way to choose tokens that takes one number of `random` for each. */
export function sampleFrom(random: Random, options: SamplingOptions): TokenChoice {
  return (logits) => {
    if (chooseGreedily(logits) < 0) return -1;
    const { tokenIds, weights } = drawableTokens(logits, options);
    const drawn = random.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
    let sum = 0;
    const index = weights.findIndex((weight) => (sum += weight) > drawn);
    // What is drawn may be rounded up to the whole sum.
    return required(tokenIds[Math.max(index, 0)], 'a token that can be drawn');
  };
}

/**
 * The tokens that temperature, top-k and top-p leave.
 *
 * @param logits [V], finite or -infinity
 */
export function drawableTokens(
  logits: Float32Array,
  { temperature, topK, topP }: Omit<SamplingOptions, 'kind' | 'seed'>,
): DrawableTokens {
  const most = topK === 0 ? logits.length : Math.min(topK, logits.length);
  const greatest = required(logits[chooseGreedily(logits)], 'a logit that is not -infinity');
  const weigh = (tokenId: number): number => exponential(((logits[tokenId] as number) - greatest) / temperature);
  const weighed = (tokenIds: readonly number[]): DrawableTokens => ({ tokenIds, weights: tokenIds.map(weigh) });
  const all = most === logits.length ? weighed(Array.from(logits.keys())) : weighed(likeliestTokens(logits, most));
  if (topP >= 1) return all;
  const mass = topP * all.weights.reduce((sum, weight) => sum + weight, 0);
  for (let look = Math.min(FIRST_LOOK, most); ; look = Math.min(FIRST_LOOK * look, most)) {
    const { tokenIds, weights } = weighed(likeliestTokens(logits, look));
    const count = prefixReaching(weights, mass);
    if (count !== undefined || look === most) {
      return { tokenIds: tokenIds.slice(0, count), weights: weights.slice(0, count) };
    }
  }
}

/** The length of the shortest prefix whose sum reaches `mass`; undefined where none does. */
function prefixReaching(weights: readonly number[], mass: number): number | undefined {
  let sum = 0;
  const last = weights.findIndex((weight) => (sum += weight) >= mass);
  return last < 0 ? undefined : last + 1;
}

/** Insertion is fastest for few; for many a sort is. */
function likeliestTokens(logits: Float32Array, count: number): number[] {
  if (count > FIRST_LOOK * FIRST_LOOK) {
    const tokenIds = Array.from(logits.keys()).filter((tokenId) => logits[tokenId] !== -Infinity);
    return tokenIds.toSorted((a, b) => (logits[b] as number) - (logits[a] as number)).slice(0, count);
  }
  const best = new BestCandidates(count);
  best.add(0, logits, 0);
  return Array.from({ length: best.count }, (_, rank) => best.at(rank).tokenId);
}
