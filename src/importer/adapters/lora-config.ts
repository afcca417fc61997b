/**
 * adapter_config.json of PEFT: how an adapter was trained, and so how it is merged (https://github.com/huggingface/peft, tuners/lora). What cannot
 * be written as a change of the base's weights is refused by its name.
 */
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import { count, flag, loraAlpha, MOST } from '../architectures/config-keys.ts';
import { ADAPTER_CONFIG } from '../read/checkpoint-source.ts';
import { cut } from '../read/quoted.ts';
import { endsWithName, matchedEnds, matchedWhole } from './python-pattern.ts';

export type LoraAdapterConfig = {
  /** What the adapter was trained on, where it says so. */
  base: string | undefined;
  /** The modules among these that the adapter changes. */
  targetsAmong(modules: readonly string[]): ReadonlySet<string>;
  /** Rank and scale of the change of each of these modules. */
  changesOf(modules: readonly string[]): ReadonlyMap<string, LoraChange>;
};

/** `W + scale·(B·A)` with `rank` rows in A. */
export type LoraChange = { rank: number; scale: number };

/** The defaults of PEFT's LoraConfig. */
const DEFAULT_RANK = 8;
const DEFAULT_ALPHA = 8;

/** Ways to begin the training that leave the base as it is. The others take something out of it, which is not in the adapter's file. */
const HARMLESS_BEGINNINGS: readonly string[] = ['gaussian', 'eva', 'orthogonal', 'mica'];

/** What else a config may ask for that is no sum of the base and a product, with a word for it. */
const NOT_MERGEABLE: readonly (readonly [key: string, what: string])[] = [
  ['use_dora', 'DoRA, which scales each row anew'],
  ['use_qalora', 'QA-LoRA, which pools the inputs'],
  ['use_bdlora', 'block-diagonal LoRA'],
  ['layer_replication', 'layers that are used several times'],
  ['target_parameters', 'parameters outside of linear layers'],
  ['trainable_token_indices', 'single trained tokens'],
  ['alora_invocation_tokens', 'activated LoRA, which works on a part of the text only'],
  ['megatron_config', 'layers of Megatron'],
  ['arrow_config', 'a choice among several adapters'],
  ['kasa_config', 'KaSA'],
  ['velora_config', 'VeLoRA'],
  ['monteclora_config', 'MonteCLoRA'],
  ['enable_lora', 'a layer of which only parts are adapted (PEFT before 0.3)'],
];

/**
 * @param folder the adapter's, for messages
 * @throws CheckpointError for an adapter of another kind, or one that cannot be merged.
 */
export function readLoraConfig(config: ObjectReader, folder: string): LoraAdapterConfig {
  const path = join(folder, ADAPTER_CONFIG);
  const base = config.has('base_model_name_or_path') ? cut(config.string('base_model_name_or_path')) : undefined;
  refuseOtherKinds(config, path);
  const rank = config.has('r') ? rankOf(config, 'r') : DEFAULT_RANK;
  const alpha = config.has('lora_alpha') ? loraAlpha(config, 'lora_alpha') : DEFAULT_ALPHA;
  const isStabilised = flag(config, 'use_rslora', false);
  const ranks = numbersOf(config, 'rank_pattern', rankOf);
  const alphas = numbersOf(config, 'alpha_pattern', loraAlpha);
  return {
    base: base === '' ? undefined : base,
    targetsAmong: targetsOf(config, path),
    changesOf(modules) {
      const rankOfModule = valuesByPattern(ranks, modules, `${path}, rank_pattern`);
      const alphaOfModule = valuesByPattern(alphas, modules, `${path}, alpha_pattern`);
      return new Map(
        modules.map((module) => {
          // What no pattern names has the values of the whole adapter.
          const r = rankOfModule.get(module) ?? rank;
          const scaled = alphaOfModule.get(module) ?? alpha;
          return [module, { rank: r, scale: scaled / (isStabilised ? Math.sqrt(r) : r) }];
        }),
      );
    },
  };
}

function refuseOtherKinds(config: ObjectReader, path: string): void {
  const kind = config.has('peft_type') ? config.string('peft_type') : 'unknown';
  if (kind !== 'LORA') {
    throw new CheckpointError(
      path,
      `this is an adapter of the kind ${kind}. Only LORA can be imported. Merge the adapter into its base with PEFT (merge_and_unload, where the kind has it), save the whole model, and import that.`,
    );
  }
  for (const [key, what] of NOT_MERGEABLE) if (config.isTruthy(key)) throw notMergeable(path, key, what);
  if (config.isString('init_lora_weights')) {
    const beginning = config.string('init_lora_weights').toLowerCase();
    if (HARMLESS_BEGINNINGS.includes(beginning)) return;
    throw notMergeable(
      path,
      'init_lora_weights',
      `"${beginning}", for which the training changed the base; the adapter's file does not say how`,
    );
  }
}

function notMergeable(path: string, key: string, what: string): CheckpointError {
  return new CheckpointError(
    path,
    `${key} asks for ${what}. That cannot be merged here. Merge the adapter into its base with PEFT (merge_and_unload), save the whole model, and import that.`,
  );
}

function rankOf(config: ObjectReader, key: string): number {
  return count(config, key, MOST.rank);
}

function numbersOf(
  config: ObjectReader,
  key: string,
  read: (reader: ObjectReader, key: string) => number,
): Map<string, number> {
  const patterns = config.objectOrEmpty(key);
  return new Map(patterns.keys().map((pattern) => [pattern, read(patterns, pattern)]));
}

/** The value of the first pattern that matches a module; modules that none matches are left out. */
function valuesByPattern(
  patterns: ReadonlyMap<string, number>,
  modules: readonly string[],
  where: string,
): Map<string, number> {
  const values = new Map<string, number>();
  for (const [pattern, value] of patterns) {
    for (const module of matchedEnds(pattern, modules, where)) if (!values.has(module)) values.set(module, value);
  }
  return values;
}

/** `target_modules` with what narrows it: `exclude_modules`, `layers_to_transform` and `layers_pattern`. */
function targetsOf(config: ObjectReader, path: string): LoraAdapterConfig['targetsAmong'] {
  const named = namesOf(config, 'target_modules', path, 'all-linear');
  const excluded = namesOf(config, 'exclude_modules', path);
  const layers = oneOrMore(
    config,
    'layers_to_transform',
    (key) => config.integers(key),
    (key) => config.integer(key),
  );
  const patterns = oneOrMore(
    config,
    'layers_pattern',
    (key) => config.strings(key),
    (key) => config.string(key),
  );
  // PEFT looks at the numbers of layers only beside a list of names.
  const isByLayer = layers.length > 0 && config.isList('target_modules');
  return (modules) => {
    const without = excluded?.(modules);
    const targets = [...(named?.(modules) ?? modules)].filter((module) => without?.has(module) !== true);
    if (!isByLayer) return new Set(targets);
    return new Set(targets.filter((module) => isInLayers(module, layers, patterns)));
  };
}

/** The values of a key that holds one or a list; none where it is absent. */
function oneOrMore<Value>(
  config: ObjectReader,
  key: string,
  list: (key: string) => Value[],
  one: (key: string) => Value,
): Value[] {
  if (!config.has(key)) return [];
  return config.isList(key) ? list(key) : [one(key)];
}

/** A key that holds a regular expression or a list of endings; undefined where it names nothing. */
function namesOf(
  config: ObjectReader,
  key: string,
  path: string,
  all?: string,
): ((modules: readonly string[]) => ReadonlySet<string>) | undefined {
  if (!config.has(key)) return undefined;
  if (config.isString(key)) {
    const pattern = config.string(key);
    if (pattern === all) return undefined;
    return (modules) => matchedWhole(pattern, modules, `${path}, ${key}`);
  }
  const endings = config.strings(key);
  return (modules) => new Set(modules.filter((module) => endings.some((ending) => endsWithName(module, ending))));
}

/** The number of a module's layer is the first one behind a name: `layers.3.` of `decoder.layers.3.fc1`. */
function isInLayers(module: string, layers: readonly number[], patterns: readonly string[]): boolean {
  const steps = module.split('.');
  const at = steps.findIndex((step, index) => {
    if (!/^\d+$/.test(step) || index === steps.length - 1) return false;
    // Without a pattern PEFT wants two names in front of the number.
    const before = steps.slice(0, index).join('.');
    return patterns.length === 0 ? index >= 2 : patterns.some((pattern) => endsWithName(before, pattern));
  });
  return at !== -1 && layers.includes(Number(steps[at]));
}
