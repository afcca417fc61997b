/**
 * Reading config.json files, which leave out what equals the defaults of the class that wrote them. A config comes from somewhere else: each number
 * has bounds, wide enough for any model of these architectures, so that none becomes a table without end or a division by zero.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';

/** The most that a config may say, by what it counts. */
export const MOST = {
  /** Width of a layer. The widest of these models is the feed-forward part of T5-11B. */
  features: 2 ** 17,
  layers: 1024,
  heads: 1024,
  /** Positions of a text: tables of their rotations are computed. */
  positions: 2 ** 18,
  /** Side of an image or a patch, in pixels: there are as many image tokens as the square of its patches. */
  pixels: 2048,
  queries: 4096,
  buckets: 4096,
  rank: 65_536,
} as const;

/** A whole number of at least 0, or the default of the class where the key is absent. */
export function integer(config: ObjectReader, key: string, byDefault: number): number {
  return config.has(key) ? config.integer(key) : byDefault;
}

/** A whole number from 1 to `most`, or the default of the class where the key is absent; without one, the key must be there. */
export function count(config: ObjectReader, key: string, most: number, byDefault?: number): number {
  if (byDefault !== undefined && !config.has(key)) return byDefault;
  const value = config.integer(key);
  return value >= 1 && value <= most ? value : config.fail(key, `a whole number from 1 to ${most}`);
}

/** A number, or the default of the class where the key is absent. */
export function number(config: ObjectReader, key: string, byDefault: number): number {
  return config.has(key) ? config.number(key) : byDefault;
}

/** What a norm adds before it divides, or the default of the class where the key is absent. */
export function normEpsilon(config: ObjectReader, key: string, byDefault: number): number {
  const value = number(config, key, byDefault);
  return value > 0 && value < 1 ? value : config.fail(key, 'a number between 0 and 1');
}

/** More than any adapter has; with it, no sum of finite numbers becomes infinite. */
const MAX_ALPHA = 1e6;

/** The alpha of a low-rank adaptation: what its product is multiplied by, before it is divided by the rank. */
export function loraAlpha(config: ObjectReader, key: string): number {
  const alpha = config.number(key);
  return Math.abs(alpha) <= MAX_ALPHA ? alpha : config.fail(key, `a number of at most ${MAX_ALPHA}`);
}

/** A switch, or the default of the class where the key is absent. */
export function flag(config: ObjectReader, key: string, byDefault: boolean): boolean {
  return config.has(key) ? config.boolean(key) : byDefault;
}

/** Attention heads, which share the hidden size evenly. */
export function attentionHeads(config: ObjectReader, byDefault: number, hiddenSize: number): number {
  const heads = count(config, 'num_attention_heads', MOST.heads, byDefault);
  if (hiddenSize % heads !== 0) config.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize})`);
  return heads;
}

/** @throws the reader's error where the key is there with another value: a variant of the architecture that is not built. */
export function requireValue(config: ObjectReader, key: string, needed: boolean): void {
  if (config.has(key) && config.boolean(key) !== needed) config.fail(key, String(needed));
}

/** The largest base of rotary frequencies that is used is five million. */
const MAX_THETA = 1e12;

/** The base of the rotary frequencies; transformers 5 writes it into `rope_parameters`. */
export function ropeTheta(config: ObjectReader): number {
  const parameters = config.objectOrEmpty('rope_parameters');
  if (parameters.has('rope_type')) parameters.oneOf('rope_type', ['default']);
  const owner = config.has('rope_theta') ? config : parameters;
  const theta = number(owner, 'rope_theta', 10_000);
  return theta > 1 && theta <= MAX_THETA
    ? theta
    : owner.fail('rope_theta', `a number above 1 and at most ${MAX_THETA}`);
}
