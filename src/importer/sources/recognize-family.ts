/** Which family the sources of an import make, by what is in them. The user may say it instead. */
import { CheckpointError } from '../../errors.ts';
import type { Family } from '../../pack/model-declaration.ts';
import { FAMILY_TRAITS, findFamily } from '../families/families.ts';
import type { FoundParts } from '../families/family-traits.ts';
import { describeConfig, familyOfConfig, knownWholeModels } from '../families/whole-models.ts';
import type { RoledSource } from './source-role.ts';

/** @throws CheckpointError when the sources make no family. */
export function recognizeFamily(sources: readonly RoledSource[]): Family {
  for (const { source, role } of sources) {
    if (role.kind !== 'whole-model') continue;
    const family = familyOfConfig(role.config);
    if (family !== undefined) return family;
    throw new CheckpointError(
      source.path,
      `config.json describes ${describeConfig(role.config)}; known are ${knownWholeModels()}.`,
    );
  }
  const parts = findParts(sources);
  const family = familyOfParts(parts);
  if (family !== undefined) return family;
  const where = sources.map(({ source }) => source.path).join(', ');
  throw new CheckpointError(
    where,
    `together these sources are not a known model (${describe(parts)}). Give the family with --family. docs/models.md lists the sources of each family.`,
  );
}

/** The first family of which these parts make a model; undefined where they make none. */
export function familyOfParts(parts: FoundParts): Family | undefined {
  return findFamily(
    ({ projection, isMadeOf }) => projection === parts.projection && (isMadeOf === undefined || isMadeOf(parts)),
  );
}

function findParts(sources: readonly RoledSource[]): FoundParts {
  const trained = sources.filter(({ role }) => role.kind === 'trained-parts').map(({ source }) => source);
  const known = new Set(Object.values(FAMILY_TRAITS).flatMap(({ projection }) => projection ?? []));
  const projections = trained.flatMap(({ tensors }) => [...known].filter((name) => tensors.has(`${name}.weight`)));
  const archs = trained.flatMap(({ trainingSettings }) =>
    trainingSettings.has('arch') ? [trainingSettings.string('arch')] : [],
  );
  const languages = sources.flatMap(({ role }) => (role.kind === 'language-model' ? [role.architecture] : []));
  return {
    language: languages.at(-1),
    projection: projections.at(-1),
    arch: archs.at(-1),
    has: (name) => trained.some(({ tensors }) => [...tensors.keys()].some((key) => name.test(key))),
  };
}

function describe({ language, projection, has }: FoundParts): string {
  return [
    `language model: ${language?.name ?? 'none'}`,
    `Q-Former: ${has(/^Qformer\.bert\.encoder\./) ? 'yes' : 'none'}`,
    `projection: ${projection ?? 'none'}`,
  ].join(', ');
}
