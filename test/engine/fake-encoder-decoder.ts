/**
 * The counterpart of `fake-decoder.ts` that keeps prompts apart from what is written, as T5 does: the next token is a function of the prompt, the
 * start token and what the row has written, read back from both sides of the cache.
 */
import { EncoderDecoderCache } from '../../src/language/encoder-decoder-cache.ts';
import { ownCache, type RowCache } from '../../src/language/language-model.ts';
import { float32Tensor, type Tensor } from '../../src/runtime/session.ts';
import { fakeDeclaration, logitsAfter, type CountingModel } from './fake-decoder.ts';

export const START = 5;

export function fakeEncoderDecoder(maxPositionEmbeddings = 64): CountingModel {
  const prefills: number[] = [];
  const steps: number[] = [];
  return {
    declaration: fakeDeclaration('encoder-decoder', maxPositionEmbeddings, START),
    prefills,
    steps,
    embedTokens: async (ids) => Float32Array.from(ids),
    newCache: (rows, maxLength) => new EncoderDecoderCache({ rows, layers: 1, heads: 1, maxLength, headDim: 1 }),
    positionsNeeded: (promptLength, maxNewTokens) =>
      Math.min(Math.max(promptLength, maxNewTokens + 1), maxPositionEmbeddings),
    room: (promptLength, maxLength) => (promptLength <= maxLength ? maxLength : 0),
    prefill: async (cache, firstRow, rows) => {
      prefills.push(rows.length);
      const lengths = rows.map(({ length }) => length);
      const longest = Math.max(...lengths);
      const padded = rows.flatMap(({ embeds, length }) => [
        ...embeds,
        ...Array.from({ length: longest - length }, () => 9),
      ]);
      ownCache(cache, EncoderDecoderCache).startRows(firstRow, lengths, results('encoder', padded, rows.length));
      const written = rows.map(() => START);
      return {
        logits: write(
          cache,
          firstRow,
          written,
          rows.map(() => 0),
        ),
        lengths: rows.map(() => 1),
      };
    },
    step: async (cache, tokenIds, pastLengths) => {
      steps.push(tokenIds.length);
      return write(cache, 0, tokenIds, pastLengths);
    },
    dispose: async () => {},
  };
}

function write(
  cache: RowCache,
  firstRow: number,
  tokenIds: readonly number[],
  positions: readonly number[],
): Float32Array {
  const own = ownCache(cache, EncoderDecoderCache);
  own.decoder.reserve(Math.max(...positions) + 1);
  own.decoder.write(
    results('decoder', tokenIds, tokenIds.length),
    firstRow,
    positions,
    positions.map(() => 1),
  );
  const histories = positions.map((position, index) => {
    const row = firstRow + index;
    const inputs = own.inputs(row, 1);
    const [promptLength = 0] = own.encoderLengths(row, 1);
    return [...keys(inputs, 'encoder').subarray(0, promptLength), ...keys(inputs, 'decoder').subarray(0, position + 1)];
  });
  return Float32Array.from(histories.flatMap(logitsAfter));
}

/** One number for each position of each row, as keys and as values. */
function results(side: string, values: readonly number[], rows: number): Record<string, Tensor> {
  const tensor = float32Tensor(Float32Array.from(values), [rows, 1, values.length / rows, 1]);
  return { [`present.0.${side}.key`]: tensor, [`present.0.${side}.value`]: tensor };
}

function keys(inputs: Record<string, Tensor>, side: string): Float32Array {
  return inputs[`past_key_values.0.${side}.key`]?.data as Float32Array;
}
