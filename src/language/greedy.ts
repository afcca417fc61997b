/** Greedy choice: always the likeliest token. */

/** The index of the greatest logit, the first one on ties; -1 when a logit is NaN or all are -infinity. */
export function chooseGreedily(logits: Float32Array): number {
  let best = -Infinity;
  let tokenId = -1;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (logit > best) {
      best = logit;
      tokenId = id;
    } else if (Number.isNaN(logit)) {
      return -1;
    }
  }
  return best === Infinity ? -1 : tokenId;
}

/** Natural log-probability of one token under softmax(logits), summed in double precision. */
export function logProbability(logits: Float32Array, tokenId: number): number {
  let greatest = -Infinity;
  for (const logit of logits) if (logit > greatest) greatest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - greatest);
  return (logits[tokenId] as number) - greatest - Math.log(sum);
}
