/**
 * Random numbers that are the same on every machine: xoshiro128** (Blackman and Vigna, https://prng.di.unimi.it/), which needs nothing but
 * additions, shifts and rotations of 32-bit integers, and the mixing of MurmurHash3's last step for its seeds.
 */

/** A stream of random numbers. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param state 32 bits each, not all zero */
  constructor(state: readonly [number, number, number, number]) {
    [this.#a, this.#b, this.#c, this.#d] = state;
  }

  /**
   * The stream of some seeds. Streams whose seeds differ in any number have nothing to do with each other.
   *
   * @param seeds whole numbers; their lowest 32 bits count
   */
  static seeded(seeds: readonly number[]): Random {
    const key = hashWords(Uint32Array.from(seeds, (seed) => seed >>> 0));
    return new Random([mix(key + GOLDEN), mix(key + 2 * GOLDEN), mix(key + 3 * GOLDEN), mix(key + 4 * GOLDEN) | 1]);
  }

  /** 0 … 2^32 - 1 */
  uint32(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotate(this.#d, 11);
    return result;
  }

  /** At least 0 and less than 1, a multiple of 2^-53. */
  uniform(): number {
    const high = this.uint32() >>> 5; // 27 bits
    const low = this.uint32() >>> 6; // 26 bits
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}

/** A number of 32 bits that stands for these words in this order. */
export function hashWords(words: Uint32Array): number {
  let hash = mix(words.length + GOLDEN);
  for (let i = 0; i < words.length; i++) hash = Math.imul(rotate(hash, 5) ^ (words[i] as number), GOLDEN);
  return mix(hash) >>> 0;
}

/** 2^32 over the golden ratio: its multiples are spread evenly. */
const GOLDEN = 0x9e3779b9;

function mix(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function rotate(bits: number, by: number): number {
  return (bits << by) | (bits >>> (32 - by));
}
