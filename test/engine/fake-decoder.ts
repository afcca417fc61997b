/**
 * A language model whose answers can be worked out by hand: the next token is a function of the row's own history, read back from the cache.
 * It writes to the cache like the real one, so a row that is moved wrongly gives other tokens.
 */
import { ownCache, type LanguageModel, type RowCache } from '../../src/language/language-model.ts';
import type { LanguageDeclaration } from '../../src/pack/model-declaration.ts';

export const VOCAB = 11;
export const EOS = 0;

/** A language model that counts the rows of each of its runs. */
export type CountingModel = LanguageModel & { prefills: number[]; steps: number[] };

export function fakeDecoder(maxPositionEmbeddings = 64): CountingModel {
  const prefills: number[] = [];
  const steps: number[] = [];
  return {
    declaration: fakeDeclaration('decoder-only', maxPositionEmbeddings),
    prefills,
    steps,
    embedTokens: async (ids) => Float32Array.from(ids),
    newCache: (rows, maxLength) => new HistoryCache(rows, maxLength),
    positionsNeeded: (promptLength, maxNewTokens) => Math.min(promptLength + maxNewTokens, maxPositionEmbeddings),
    room: (promptLength, maxLength) => (promptLength < maxLength ? maxLength - promptLength + 1 : 0),
    prefill: async (cache, firstRow, rows) => {
      prefills.push(rows.length);
      const logits = rows.flatMap(({ embeds, length }, index) => {
        keys(cache, firstRow + index).set(embeds);
        return logitsAfter([...embeds.subarray(0, length)]);
      });
      return { logits: Float32Array.from(logits), lengths: rows.map(({ length }) => length) };
    },
    step: async (cache, tokenIds, pastLengths) => {
      steps.push(tokenIds.length);
      return Float32Array.from(
        tokenIds.flatMap((token, row) => {
          const own = keys(cache, row);
          const past = pastLengths[row] ?? 0;
          own[past] = token;
          return logitsAfter([...own.subarray(0, past + 1)]);
        }),
      );
    },
    dispose: async () => {},
  };
}

export function fakeDeclaration(
  kind: LanguageDeclaration['kind'],
  maxPositionEmbeddings: number,
  decoderStartTokenId?: number,
): LanguageDeclaration {
  return {
    kind,
    hiddenSize: 1,
    numHiddenLayers: 1,
    numAttentionHeads: 1,
    numKeyValueHeads: 1,
    headDim: 1,
    vocabSize: VOCAB,
    maxPositionEmbeddings,
    eosTokenIds: [EOS],
    decoderStartTokenId,
  };
}

/** Logits that are greatest for the one token that follows this history; the others are a function of the history too, without ties. */
export function logitsAfter(history: readonly number[]): number[] {
  const hash = hashOf(history);
  const next = hash % VOCAB;
  return Array.from({ length: VOCAB }, (_, id) => (id === next ? 1 : ((hash * 17 + id * 613) % 1013) / 1100));
}

/** A cache that holds the tokens themselves. */
class HistoryCache implements RowCache {
  readonly rows: number;
  readonly maxLength: number;
  readonly #tokens: Float32Array;

  constructor(rows: number, maxLength: number) {
    this.rows = rows;
    this.maxLength = maxLength;
    this.#tokens = new Float32Array(rows * maxLength);
  }

  /** The positions of one row, to be read and written. */
  row(row: number): Float32Array {
    return this.#tokens.subarray(row * this.maxLength, (row + 1) * this.maxLength);
  }

  copyRow(from: number, to: number, length: number): void {
    this.copyPositions(from, to, 0, length);
  }

  copyPositions(from: number, to: number, start: number, end: number): void {
    this.row(to).set(this.row(from).subarray(start, end), start);
  }
}

function keys(cache: RowCache, row: number): Float32Array {
  return ownCache(cache, HistoryCache).row(row);
}

/** A mixing function over the whole history: any wrong position or row changes what follows. */
export function nextToken(history: readonly number[]): number {
  return hashOf(history) % VOCAB;
}

function hashOf(history: readonly number[]): number {
  return history.reduce((hash, token) => (hash * 31 + token * 7 + 3) % 1009, 17);
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
