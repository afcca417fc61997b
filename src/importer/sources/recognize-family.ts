/** Which family the sources of an import make, by what is in them. The user may say it instead. */
import { CheckpointError } from '../../errors.ts';
import type { Family } from '../../pack/model-declaration.ts';
import { FAMILY_TRAITS, findFamily } from '../families/families.ts';
import type { FoundParts } from '../families/family-traits.ts';
import { describeConfig, familyOfConfig, knownWholeModels } from '../families/whole-models.ts';
import type { RoledSource } from './source-role.ts';

/** @throws CheckpointError when the sources make no family, or whole models of two. */
export function recognizeFamily(sources: readonly RoledSource[]): Family {
  const whole = sources.flatMap(({ source, role }) =>
    role.kind === 'whole-model'
      ? [{ path: source.path, config: role.config, family: familyOfConfig(role.config) }]
      : [],
  );
  const unknown = whole.find(({ family }) => family === undefined);
  if (unknown !== undefined) {
    throw new CheckpointError(
      unknown.path,
      `config.json describes ${describeConfig(unknown.config)}; known are ${knownWholeModels()}.`,
    );
  }
  const last = whole.at(-1);
  if (last?.family !== undefined) {
    const other = whole.find(({ family }) => family !== last.family);
    if (other === undefined) return last.family;
    throw new CheckpointError(
      last.path,
      `this is a model of the family ${last.family}, but ${other.path} is one of ${other.family}. Only models of one family can be laid over each other.`,
    );
  }
  const parts = findParts(sources);
  const family = familyOfParts(parts);
  if (family !== undefined) return family;
  const where = sources.map(({ source }) => source.path).join(', ');
  if (parts.has(/^(?:vision_model|qformer|language_model)\./)) {
    throw new CheckpointError(
      where,
      'these are weights of a Hugging Face model, but no source has its config.json. Give the folder of the model that they were made from before them.',
    );
  }
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
