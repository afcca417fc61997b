/**
 * A language model whose answers can be worked out by hand: the next token is a function of the row's own history, read back from the cache.
 * It writes to the cache like the real one, so a row that is moved wrongly gives other tokens.
 */
import type { BatchDecoder } from '../../src/engine/continuous-batch.ts';
import type { KvCache } from '../../src/language/kv-cache.ts';

export const VOCAB = 11;
export const EOS = 0;

export function fakeDecoder(maxPositionEmbeddings = 64): BatchDecoder & { prefills: number[]; steps: number[] } {
  const declaration = {
    hiddenSize: 1,
    numHiddenLayers: 1,
    numAttentionHeads: 1,
    headDim: 1,
    vocabSize: VOCAB,
    maxPositionEmbeddings,
    bosTokenId: 1,
    eosTokenId: EOS,
    padTokenId: 1,
  };
  const logitsOf = (history: readonly number[]): number[] => {
    const next = nextToken(history);
    return Array.from({ length: VOCAB }, (_, id) => (id === next ? 1 : 0));
  };
  const prefills: number[] = [];
  const steps: number[] = [];
  return {
    declaration,
    prefills,
    steps,
    embedTokens: async (ids) => Float32Array.from(ids),
    prefill: async (cache, firstRow, rows) => {
      prefills.push(rows.length);
      return Float32Array.from(
        rows.flatMap(({ embeds, length }, index) => {
          keys(cache, firstRow + index).set(embeds);
          return logitsOf([...embeds.subarray(0, length)]);
        }),
      );
    },
    step: async (cache, tokenIds, pastLengths) => {
      steps.push(tokenIds.length);
      return Float32Array.from(
        tokenIds.flatMap((token, row) => {
          const own = keys(cache, row);
          const past = pastLengths[row] ?? 0;
          own[past] = token;
          return logitsOf([...own.subarray(0, past + 1)]);
        }),
      );
    },
  };
}

function keys(cache: KvCache, row: number): Float32Array {
  return cache.window(row, 1).past['past_key_values.0.key']?.data as Float32Array;
}

/** A mixing function over the whole history: any wrong position or row changes what follows. */
export function nextToken(history: readonly number[]): number {
  return history.reduce((hash, token) => (hash * 31 + token * 7 + 3) % 1009, 17) % VOCAB;
}

/** What the fake writes after a prompt, by the definition and without a batch. */
export function expectedTokens(prompt: readonly number[], maxNewTokens: number): number[] {
  const history = [...prompt];
  const written: number[] = [];
  while (written.length < maxNewTokens) {
    const token = nextToken(history);
    written.push(token);
    history.push(token);
    if (token === EOS) break;
  }
  return written;
}
