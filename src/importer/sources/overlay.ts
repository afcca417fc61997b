/**
 * Lays the sources of an import over each other in the order given: one table of tensors under our names, in which the last one wins.
 */
import { CheckpointError } from '../../errors.ts';
import type { Family } from '../../pack/model-declaration.ts';
import { BRIDGE_ARCHITECTURES } from '../architectures/bridges.ts';
import { FAMILY_TRAITS } from '../families/families.ts';
import { HUGGINGFACE_NAMES } from '../names/huggingface.ts';
import { rename, type Renamed } from '../names/name-rule.ts';
import type { StoredTensor } from '../read/tensor-file.ts';
import type { OpenTensor } from '../read/weights.ts';
import type { RoledSource } from './source-role.ts';

export type Overlay = {
  tensors: ReadonlyMap<string, OpenTensor>;
  /** Tensors that are to be added to those of the same name: a language model published as a difference. */
  deltas: ReadonlyMap<string, OpenTensor>;
  /** Tensors that are known and of no use, with the reason. */
  unneeded: { tensor: StoredTensor; reason: string }[];
  /** Tensors whose names nobody expects. */
  unknown: StoredTensor[];
};

/** @throws CheckpointError when sources contradict each other. */
export function layOver(sources: readonly RoledSource[], family: Family): Overlay {
  const tensors = new Map<string, OpenTensor>();
  const deltas = new Map<string, OpenTensor>();
  const unneeded: Overlay['unneeded'] = [];
  const unknown: StoredTensor[] = [];
  for (const roled of sources) {
    refuseMisplaced(roled, family);
    const isDelta = roled.role.kind === 'language-model' && roled.role.isDelta;
    for (const [name, open] of roled.source.tensors) {
      const renamed = renameIn(roled, family, name);
      if (renamed === undefined) {
        unknown.push(open.tensor);
      } else if ('unneeded' in renamed) {
        unneeded.push({ tensor: open.tensor, reason: renamed.unneeded });
      } else {
        const target = isDelta ? deltas : tensors;
        const replaced = target.get(renamed.name);
        if (replaced !== undefined) {
          unneeded.push({ tensor: replaced.tensor, reason: 'replaced by a later source' });
        }
        target.set(renamed.name, open);
      }
    }
  }
  return { tensors, deltas, unneeded, unknown };
}

function renameIn({ role }: RoledSource, family: Family, name: string): Renamed | undefined {
  switch (role.kind) {
    case 'whole-model':
      return rename(name, HUGGINGFACE_NAMES);
    case 'language-model':
      return rename(name, role.architecture.names);
    case 'trained-parts':
      return FAMILY_TRAITS[family].renamePart(name);
    default:
      return undefined;
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
