/** How far a stage is from a reference, element by element. */
import { UsageError } from '../../errors.ts';

export type StageDifference = {
  stage: string;
  elements: number;
  largest: number;
  mean: number;
  cosine: number;
  /** Largest difference allowed. */
  tolerance: number;
  ok: boolean;
};

/** What the reference recorded, if it did, and what we computed. */
export type StagePair = readonly [expected: Float32Array | undefined, received: Float32Array];

/**
 * Element by element over all pairs whose reference is recorded.
 *
 * @returns undefined where nothing is recorded for this stage
 * @throws UsageError when a pair differs in length: the pack is of another model than the record.
 */
export function compareStage(
  stage: string,
  pairs: readonly StagePair[],
  tolerance: number,
): StageDifference | undefined {
  let elements = 0;
  let largest = 0;
  let sum = 0;
  let product = 0;
  let expectedSquares = 0;
  let receivedSquares = 0;
  for (const [expected, received] of pairs) {
    if (expected === undefined) continue;
    if (expected.length !== received.length) {
      throw new UsageError(
        `${stage}: the record has ${expected.length} numbers, but the pack yields ${received.length}. The record is of another model; give the one that was made from the same checkpoint.`,
      );
    }
    elements += expected.length;
    for (let i = 0; i < expected.length; i++) {
      const a = expected[i] as number;
      const b = received[i] as number;
      const difference = Math.abs(a - b);
      largest = Math.max(largest, difference); // NaN stays, and is never within a tolerance
      sum += difference;
      product += a * b;
      expectedSquares += a * a;
      receivedSquares += b * b;
    }
  }
  if (elements === 0) return undefined;
  const cosine = product / Math.sqrt(expectedSquares * receivedSquares);
  return { stage, elements, largest, mean: sum / elements, cosine, tolerance, ok: largest <= tolerance };
}
