/** Types of checkpoint-mutations.mjs for the tests; the documentation is there. */
export class SeededRandom {
  constructor(seed: number);
  below(limit: number): number;
  pick<Item>(items: readonly Item[]): Item;
}

export function mutate(file: Uint8Array, other: Uint8Array, random: SeededRandom): Buffer;
