/** Stop rules as the tests of this folder ask them: about all ids of a row at once. */
import type { StopRule } from '../../src/language/stop-rule.ts';
import type { RowDecoder } from '../../src/language/stop-texts.ts';

/** The index of the token that a row ends with; -1 where it goes on. */
export function endOf(rule: StopRule, ids: readonly number[]): number {
  const check = rule.start();
  return ids.findIndex((id) => check.add(id));
}

/** A decoder in which nothing is certain before the end, so that all ids are decoded with each: the simplest that is right. */
export function plainDecoder(decode: (ids: readonly number[]) => string, ids: readonly number[] = []): RowDecoder {
  let written = ids;
  return {
    add: (id) => {
      written = [...written, id];
      return '';
    },
    rest: () => decode(written),
    fork: () => plainDecoder(decode, written),
  };
}
