/** From logits to log-probabilities, as beam search adds them up. */
import { exponential } from '../tensor/exponential.ts';

/**
 * Replaces the logits of one row, [V], by natural log-probabilities. The sum is taken in double precision, the results are float32 as the
 * reference's.
 *
 * @returns false when they cannot be used: one is NaN or infinite, or all are -infinity. What the row holds then has no meaning.
 */
export function logSoftmax(logits: Float32Array): boolean {
  const shift = logSumExp(logits);
  if (!Number.isFinite(shift)) return false;
  for (let id = 0; id < logits.length; id++) logits[id] = (logits[id] as number) - shift;
  return true;
}

/**
 * The natural logarithm of the sum of e to the power of each logit, [V]: what a logit exceeds its log-probability by. Not finite when the logits
 * cannot be used: one is NaN or infinite, or all are -infinity.
 */
export function logSumExp(logits: Float32Array): number {
  let greatest = -Infinity;
  for (let id = 0; id < logits.length; id++) if ((logits[id] as number) > greatest) greatest = logits[id] as number;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += exponential((logits[id] as number) - greatest);
  return greatest + Math.log(sum);
}
