/**
 * Fetches the parts of a published model. What can be refused is refused in the order of its cost: repositories that are not there or not
 * open, configs of other architectures, the room on the disk; then come the files, the small parts before the large ones.
 */
import { DownloadError } from '../../errors.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import type { DownloadMeans } from '../../store/download/download.ts';
import { fetchPlainFile } from '../../store/download/plain-file.ts';
import { fetchCheckpoint } from '../../store/hub/checkpoint-files.ts';
import { HubRepository, type HubFile } from '../../store/hub/hub-repository.ts';
import type { HubSettings } from '../../store/hub/hub-settings.ts';
import type { ModelSource } from '../../store/known-models.ts';
import { formatBytes } from '../terminal/byte-size.ts';

/** A source that is known to be there, and the way to get it. */
type Part = {
  /** About how much is to be fetched; infinite where nobody knows. */
  bytes: number;
  /** Where the download is kept, if others may want it too. */
  kept: string | undefined;
  fetch: () => Promise<string[]>;
};

/** What the parts of one model have in common. */
type Circumstances = {
  /** False where the repository may hold anything. */
  isKnown: boolean;
  settings: HubSettings;
  /** Is given a line for each thing that was done. */
  say: (text: string) => void;
  means: DownloadMeans;
};

/**
 * Sees to it that every source is on this disk.
 *
 * @returns paths of files and folders, in the order of the sources.
 * @throws DownloadError when a part cannot be fetched or is of another architecture; the signal's reason.
 */
export async function fetchSources(sources: readonly ModelSource[], circumstances: Circumstances): Promise<string[]> {
  const parts: Part[] = [];
  for (const source of sources) {
    parts.push(
      source.kind === 'address' ? atAddress(source, circumstances) : await inRepository(source, circumstances),
    );
  }
  const paths = new Map<Part, string[]>();
  for (const part of parts.toSorted((a, b) => a.bytes - b.bytes)) paths.set(part, await part.fetch());
  for (const folder of new Set(parts.flatMap(({ kept }) => kept ?? []))) {
    circumstances.say(`the download stays in ${folder}; it is not needed once the model is imported`);
  }
  return parts.flatMap((part) => paths.get(part) ?? []);
}

function atAddress(source: Extract<ModelSource, { kind: 'address' }>, { settings, say, means }: Circumstances): Part {
  const { url, name, bytes = Infinity } = source;
  const fetch = async (): Promise<string[]> => {
    const path = await fetchPlainFile(url, { name, offline: settings.offline }, means);
    say(`${name} is here: ${path}`);
    return [path];
  };
  return { bytes, kept: undefined, fetch };
}

async function inRepository(
  source: Exclude<ModelSource, { kind: 'address' }>,
  { isKnown, settings, say, means }: Circumstances,
): Promise<Part> {
  const repository = await HubRepository.open(source.repository, source.revision, settings, means);
  const { name, revision, commit, cacheFolder } = repository;
  const { bytes = Infinity } = source;
  say(`${name} at ${revision} is ${commit.slice(0, 12)}${settings.offline ? ' in the cache' : ''}`);
  const onFile = ({ path, bytes: size = 0, checksum }: HubFile): void =>
    say(`fetched ${path} (${formatBytes(size)}, ${checksum?.kind ?? 'no checksum'} as published)`);
  if (source.kind === 'files') {
    const { files } = source;
    const fetch = async (): Promise<string[]> => {
      await repository.fetch(files, onFile);
      return files.map((file) => repository.path(file));
    };
    return { bytes, kept: cacheFolder, fetch };
  }
  // The hub lists a repository to all, and tells only with the first file that its terms must be accepted.
  await repository.fetch(['config.json'], onFile);
  if (!isKnown) await requireArchitecture(await repository.json('config.json'), name);
  const onPlan = (files: readonly string[]): void => {
    const total = files.reduce((sum, file) => sum + (repository.files.get(file)?.bytes ?? 0), 0);
    say(
      `the checkpoint of ${name} has ${files.length} files${total === 0 ? '' : ` of together ${formatBytes(total)}`}`,
    );
  };
  const fetch = async (): Promise<string[]> => [
    await fetchCheckpoint(repository, { format: source.format, onPlan, onFile }),
  ];
  return { bytes, kept: cacheFolder, fetch };
}

/** @throws DownloadError for a model that cannot be imported anyway. */
async function requireArchitecture(config: ObjectReader, repository: string): Promise<void> {
  const { describeConfig, familyOfConfig, knownWholeModels } = await import('../../importer/families/whole-models.ts');
  if (familyOfConfig(config) !== undefined) return;
  throw new DownloadError(
    repository,
    'wrong-content',
    `config.json describes ${describeConfig(config)}, but this version imports ${knownWholeModels()}. The weights were not fetched.`,
  );
}
