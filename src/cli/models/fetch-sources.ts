/**
 * Downloads the parts of a published model. Problems are found as early as possible, cheap checks first: repositories that are missing or
 * closed, configs of other architectures, the space on the disk. Then come the files, small parts before large ones.
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

/** A source that is known to exist, and how to get it. */
type Part = {
  /** Approximate size of the download; infinite if unknown. */
  bytes: number;
  /** Where the download is kept, if other programs may use it too. */
  kept: string | undefined;
  fetch: () => Promise<string[]>;
};

/** What is the same for all parts of one model. */
type Circumstances = {
  /** False if the repository may contain anything. */
  isKnown: boolean;
  settings: HubSettings;
  /** Gets a line for each step that was done. */
  say: (text: string) => void;
  means: DownloadMeans;
};

/**
 * Makes sure that every source is on this disk.
 *
 * @returns paths of files and folders, in the order of the sources.
 * @throws DownloadError when a part cannot be downloaded or is of another architecture; the signal's reason when aborted.
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
    circumstances.say(`the downloaded files stay in ${folder}; they are not needed after the import`);
  }
  return parts.flatMap((part) => paths.get(part) ?? []);
}

function atAddress(source: Extract<ModelSource, { kind: 'address' }>, { settings, say, means }: Circumstances): Part {
  const { url, name, bytes = Infinity } = source;
  const fetch = async (): Promise<string[]> => {
    const path = await fetchPlainFile(url, { name, offline: settings.offline }, means);
    say(`${name} is in ${path}`);
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
    say(`downloaded ${path} (${formatBytes(size)}, ${checksum?.kind ?? 'no checksum'} as published)`);
  if (source.kind === 'files') {
    const { files } = source;
    const fetch = async (): Promise<string[]> => {
      await repository.fetch(files, onFile);
      return files.map((file) => repository.path(file));
    };
    return { bytes, kept: cacheFolder, fetch };
  }
  // The hub lists a repository for everybody. Only the first file shows that its terms must be accepted.
  await repository.fetch(['config.json'], onFile);
  if (!isKnown) await requireArchitecture(await repository.json('config.json'), name);
  const onPlan = (files: readonly string[]): void => {
    const total = files.reduce((sum, file) => sum + (repository.files.get(file)?.bytes ?? 0), 0);
    say(`the checkpoint of ${name} has ${files.length} files${total === 0 ? '' : `, ${formatBytes(total)} in total`}`);
  };
  const fetch = async (): Promise<string[]> => [
    await fetchCheckpoint(repository, { format: source.format, onPlan, onFile }),
  ];
  return { bytes, kept: cacheFolder, fetch };
}

/** @throws DownloadError for a model that cannot be imported. */
async function requireArchitecture(config: ObjectReader, repository: string): Promise<void> {
  const { describeConfig, familyOfConfig, knownWholeModels } = await import('../../importer/families/whole-models.ts');
  if (familyOfConfig(config) !== undefined) return;
  throw new DownloadError(
    repository,
    'wrong-content',
    `config.json describes ${describeConfig(config)}, but this version only imports ${knownWholeModels()}. The weights were not downloaded.`,
  );
}
