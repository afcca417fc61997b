/** A low-rank adaptation as it was trained: `W + alpha/rank · B·A` (spec 4.5, 8.4). */
export type LoraConfig = { rank: number; alpha: number };
