/** Filters change the logits of one row before a token is chosen. Each is a plain function over [V] logits, in place. */

export type LogitFilter = (logits: Float32Array, generatedIds: readonly number[]) => void;

/** Forbids the stop token until `minNewTokens` others are written (transformers MinNewTokensLength). */
export function minNewTokens(count: number, eosTokenId: number): LogitFilter {
  return (logits, generatedIds) => {
    if (generatedIds.length < count) logits[eosTokenId] = -Infinity;
  };
}
