/** Filters change the logits of one row before a token is chosen. Each is a plain function over [V] logits, in place. */
import { endsWith } from './stop-sequences.ts';

export type LogitFilter = (logits: Float32Array, generatedIds: readonly number[]) => void;

/**
 * Keeps a row from ending before it has `count` tokens: each token that would end it next is forbidden. That is an end token (transformers
 * `MinNewTokensLength`), and the last token of a stop sequence whose others stand already. The references forbid only end tokens and let a
 * stop sequence cut an answer short; none of them was published with a least length that this could touch.
 */
export function minNewTokens(
  count: number,
  eosTokenIds: readonly number[],
  stopSequences: readonly (readonly number[])[] = [],
): LogitFilter {
  const endings = [...eosTokenIds.map((id) => [id]), ...stopSequences];
  return (logits, generatedIds) => {
    if (generatedIds.length >= count) return;
    for (const ids of endings) {
      const last = ids.at(-1);
      if (last !== undefined && endsWith(generatedIds, ids.slice(0, -1))) logits[last] = -Infinity;
    }
  };
}

/**
 * Forbids the rows of the vocabulary that stand for no token. Published embedding tables are padded to a round size; a padded row was never
 * trained, and choosing it would write nothing.
 *
 * @param tokenCount How many rows stand for a token: the tokenizer's, not the model's, number.
 */
export function banTokens(tokenCount: number): LogitFilter {
  return (logits) => {
    logits.fill(-Infinity, tokenCount);
  };
}

/**
 * Makes tokens less likely that the row has written already, each once however often it stands there: positive logits are divided by
 * `penalty`, negative ones multiplied (CTRL, https://arxiv.org/abs/1909.05858; transformers `RepetitionPenaltyLogitsProcessor`). What
 * stands in the prompt does not count, as in LAVIS.
 */
export function repetitionPenalty(penalty: number): LogitFilter {
  return (logits, generatedIds) => {
    for (const id of new Set(generatedIds)) {
      const logit = logits[id];
      if (logit !== undefined) logits[id] = logit < 0 ? logit * penalty : logit / penalty;
    }
  };
}

/** Forbids each token that would write a run of `size` tokens again (transformers `NoRepeatNGramLogitsProcessor`). */
export function noRepeatNgram(size: number): LogitFilter {
  return (logits, generatedIds) => {
    const begun = generatedIds.slice(generatedIds.length - size + 1);
    for (let start = 0; start + size <= generatedIds.length; start++) {
      const isSame = begun.every((id, index) => generatedIds[start + index] === id);
      const next = generatedIds[start + size - 1];
      if (isSame && next !== undefined) logits[next] = -Infinity;
    }
  };
}
