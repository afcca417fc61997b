/** Reading config.json files, which leave out what equals the defaults of the class that wrote them. */
import type { ObjectReader } from '../../pack/object-reader.ts';

/** A whole number, or the default of the class where the key is absent. */
export function integer(config: ObjectReader, key: string, byDefault: number): number {
  return config.has(key) ? config.integer(key) : byDefault;
}

/** A number, or the default of the class where the key is absent. */
export function number(config: ObjectReader, key: string, byDefault: number): number {
  return config.has(key) ? config.number(key) : byDefault;
}

/** A switch, or the default of the class where the key is absent. */
export function flag(config: ObjectReader, key: string, byDefault: boolean): boolean {
  return config.has(key) ? config.boolean(key) : byDefault;
}

/** Attention heads, which share the hidden size evenly. */
export function attentionHeads(config: ObjectReader, byDefault: number, hiddenSize: number): number {
  const count = integer(config, 'num_attention_heads', byDefault);
  if (count === 0 || hiddenSize % count !== 0)
    config.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize})`);
  return count;
}

/** @throws the reader's error where the key is there with another value: a variant of the architecture that is not built. */
export function requireValue(config: ObjectReader, key: string, needed: boolean): void {
  if (config.has(key) && config.boolean(key) !== needed) config.fail(key, String(needed));
}

/** The base of the rotary frequencies; transformers 5 writes it into `rope_parameters`. */
export function ropeTheta(config: ObjectReader): number {
  const parameters = config.objectOrEmpty('rope_parameters');
  if (parameters.has('rope_type')) parameters.oneOf('rope_type', ['default']);
  return number(config, 'rope_theta', number(parameters, 'rope_theta', 10_000));
}
