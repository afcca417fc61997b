/** The language model of `fake-decoder.ts` that can also go on from a beginning it holds, and tells how much it reads each time. */
import type { LanguageModel } from '../../../src/language/language-model.ts';
import { fakeDecoder } from '../fake-decoder.ts';

export type RememberingModel = LanguageModel & {
  /** Positions of each reading of a prompt or its rest. */
  reads: number[];
  /** The next reading fails, after it has spoilt the row. */
  failNext: boolean;
};

/** @param onRead called after each reading */
export function rememberingDecoder(
  maxPositionEmbeddings: number,
  onRead: () => void = () => undefined,
): RememberingModel {
  const model = fakeDecoder(maxPositionEmbeddings);
  const told: RememberingModel = {
    ...model,
    reads: [],
    failNext: false,
    prefill: async (cache, firstRow, rows) => {
      told.reads.push(...rows.map(({ length }) => length));
      const prefilled = await model.prefill(cache, firstRow, rows);
      onRead();
      return prefilled;
    },
    // The rest goes into the row token by token; the logits are those after the last of them.
    extend: async (cache, row, { embeds, length }, pastLength) => {
      if (row !== 0) throw new RangeError('a conversation has one row');
      let logits = new Float32Array();
      for (const [index, token] of embeds.entries()) {
        logits = Float32Array.from(await model.step(cache, [token], [pastLength + index]));
      }
      if (told.failNext) {
        told.failNext = false;
        throw new Error('out of memory');
      }
      told.reads.push(length);
      onRead();
      return logits;
    },
  };
  return told;
}
