/**
 * Lays the sources of an import over each other in the order given: one table of tensors under our names, in which the last one wins, and the
 * changes that adapters make of it.
 */
import { CheckpointError } from '../../errors.ts';
import type { Family } from '../../pack/model-declaration.ts';
import { readLoraAdapter } from '../adapters/lora-adapter.ts';
import { BRIDGE_ARCHITECTURES } from '../architectures/bridges.ts';
import { FAMILY_TRAITS } from '../families/families.ts';
import { HUGGINGFACE_NAMES } from '../names/huggingface.ts';
import { rename, type Renamed } from '../names/name-rule.ts';
import type { StoredTensor } from '../read/tensor-file.ts';
import type { Adaptation, OpenTensor } from '../read/weights.ts';
import type { RoledSource } from './source-role.ts';

export type LeftTensor = { tensor: StoredTensor; reason: string };

export type Overlay = {
  tensors: ReadonlyMap<string, OpenTensor>;
  /** Tensors that are to be added to those of the same name: a language model published as a difference. */
  deltas: ReadonlyMap<string, OpenTensor>;
  /** Changes that adapters make of the tensor of the same name. */
  adaptations: ReadonlyMap<string, readonly Adaptation[]>;
  /** Tensors that are known and of no use, with the reason. */
  unneeded: readonly LeftTensor[];
  /** Tensors that a later source has too, with the file of that. */
  replaced: readonly { tensor: StoredTensor; by: string }[];
  /** Tensors whose names nobody expects. */
  unknown: readonly StoredTensor[];
};

/** @throws CheckpointError when sources contradict each other. */
export function layOver(sources: readonly RoledSource[], family: Family): Overlay {
  const layers = new Layers();
  const hasWhole = sources.some(({ role }) => role.kind === 'whole-model');
  for (const roled of sources) {
    refuseMisplaced(roled, family);
    const { source, role } = roled;
    const renameIn = renamerOf(roled, family, hasWhole);
    const isDelta = role.kind === 'language-model' && role.isDelta;
    if (role.kind !== 'adapter') {
      for (const [name, open] of source.tensors) layers.lay(renameIn(name), open, isDelta);
      continue;
    }
    const { adaptations, replacements, unneeded } = readLoraAdapter(source, role.lora);
    layers.unneeded.push(...unneeded);
    // An adapter may bring the very table that it changes.
    for (const [name, open] of replacements) layers.lay(renameIn(name), open, false);
    const missing: string[] = [];
    for (const [name, adaptation] of adaptations) {
      if (!layers.adapt(renameIn(name), adaptation)) missing.push(name);
    }
    if (missing.length > 0) throw nothingToAdapt(source.path, role.lora.base, missing);
  }
  return layers;
}

function nothingToAdapt(path: string, base: string | undefined, missing: readonly string[]): CheckpointError {
  const first = missing.find((name) => !name.endsWith('lm_head.weight'));
  const advice =
    first === undefined
      ? 'An output head that is tied to the token embeddings cannot be adapted alone.'
      : 'Give the folder of the base that it was trained on before it; other models, and other revisions of a model, have other names.';
  return new CheckpointError(
    path,
    `this adapter for ${base ?? 'a model that it does not name'} changes ${first ?? missing[0]}, which no source before it has. ${advice}`,
  );
}

/** The table while it grows. */
class Layers implements Overlay {
  readonly tensors = new Map<string, OpenTensor>();
  readonly deltas = new Map<string, OpenTensor>();
  readonly adaptations = new Map<string, Adaptation[]>();
  readonly unneeded: LeftTensor[] = [];
  readonly replaced: { tensor: StoredTensor; by: string }[] = [];
  readonly unknown: StoredTensor[] = [];

  /** Puts a tensor over what has its name. */
  lay(renamed: Renamed | undefined, open: OpenTensor, isDelta: boolean): void {
    if (renamed === undefined) {
      this.unknown.push(open.tensor);
    } else if ('unneeded' in renamed) {
      this.unneeded.push({ tensor: open.tensor, reason: renamed.unneeded });
    } else if (isDelta) {
      this.#replace(this.deltas, renamed.name, open);
    } else {
      for (const name of otherNamesOf(renamed.name)) this.#drop(name, open);
      this.#replace(this.tensors, renamed.name, open);
      // What was a change of the tensor before is none of this one.
      this.#dropAdaptations(renamed.name, open);
    }
  }

  /** Adds a change of a tensor; false where there is none to change. */
  adapt(renamed: Renamed | undefined, adaptation: Adaptation): boolean {
    if (renamed === undefined) return false;
    if ('unneeded' in renamed) {
      this.unneeded.push(...adaptation.tensors.map((tensor) => ({ tensor, reason: renamed.unneeded })));
      return true;
    }
    if (!this.tensors.has(renamed.name)) return false;
    this.adaptations.set(renamed.name, [...(this.adaptations.get(renamed.name) ?? []), adaptation]);
    return true;
  }

  #replace(target: Map<string, OpenTensor>, name: string, open: OpenTensor): void {
    const before = target.get(name);
    if (before !== undefined) this.replaced.push({ tensor: before.tensor, by: open.tensor.file });
    target.set(name, open);
  }

  #drop(name: string, by: OpenTensor): void {
    const before = this.tensors.get(name);
    if (before === undefined) return;
    this.replaced.push({ tensor: before.tensor, by: by.tensor.file });
    this.tensors.delete(name);
    this.#dropAdaptations(name, by);
  }

  #dropAdaptations(name: string, by: OpenTensor): void {
    const adaptations = this.adaptations.get(name) ?? [];
    for (const tensor of adaptations.flatMap(({ tensors }) => tensors)) {
      this.replaced.push({ tensor, by: by.tensor.file });
    }
    this.adaptations.delete(name);
  }
}

/** Tensors that say the same in another layout: the originals keep the biases of queries and values apart, and have none for keys. */
function otherNamesOf(name: string): string[] {
  const [, attention = '', bias] = /^(vision_model\..*\.self_attn\.)(qkv\.bias|q_bias|v_bias)$/.exec(name) ?? [];
  if (bias === undefined) return [];
  return bias === 'qkv.bias' ? [`${attention}q_bias`, `${attention}v_bias`] : [`${attention}qkv.bias`];
}

function asWhole(name: string): Renamed | undefined {
  return rename(name, HUGGINGFACE_NAMES);
}

/** What a tensor of this source is to us; undefined for a name that nobody expects. */
function renamerOf({ role }: RoledSource, family: Family, hasWhole: boolean): (name: string) => Renamed | undefined {
  const { renamePart, language } = FAMILY_TRAITS[family];
  switch (role.kind) {
    case 'whole-model':
      return asWhole;
    case 'language-model': {
      const { names } = role.architecture;
      return (name) => rename(name, names);
    }
    case 'adapter':
    case 'trained-parts': {
      // They may be of a whole model, of its language model alone, or of the family's original files. No name means two things.
      const asLanguage = (name: string): Renamed | undefined => rename(name, language?.architecture.names ?? []);
      const [first, second] = hasWhole ? [asWhole, renamePart] : [renamePart, asWhole];
      return (name) => first(name) ?? second(name) ?? asLanguage(name);
    }
    default:
      return () => undefined;
  }
}

/** A language model of another architecture, or a Q-Former where the family has none, would be mixed in without a word. */
function refuseMisplaced({ source, role }: RoledSource, family: Family): void {
  const { language, bridge } = FAMILY_TRAITS[family];
  if (role.kind === 'language-model' && role.architecture !== language?.architecture) {
    const needed = language === undefined ? 'has none' : `needs ${language.architecture.name}`;
    throw new CheckpointError(
      source.path,
      `this is a ${role.architecture.name} language model, but ${family} ${needed}.`,
    );
  }
  if (!BRIDGE_ARCHITECTURES[bridge].hasQFormer && source.tensors.has('query_tokens')) {
    throw new CheckpointError(source.path, `it contains a Q-Former, but ${family} has none. Leave this source out.`);
  }
}
