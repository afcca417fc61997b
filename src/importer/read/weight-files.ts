/**
 * Which files of a folder are its weights. A folder may hold the same weights several times, or those of another day: an index with its shards
 * beside a single file, pickles beside safetensors. transformers decides this by a fixed order, and so do we, since a folder is what transformers
 * makes of it; what was left out is told.
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import { quoted } from './quoted.ts';

/** In the order of transformers: safetensors before pickles, a single file before shards. */
const LAYOUTS = [
  { stem: 'model', ending: 'safetensors' },
  { stem: 'pytorch_model', ending: 'bin' },
] as const;

/** The two layouts of an adapter: PEFT never writes shards. */
const ADAPTER_FILES = ['adapter_model.safetensors', 'adapter_model.bin'] as const;

const SHARD = /^(model|pytorch_model)-(\d{5})-of-(\d{5})\.(safetensors|bin)$/;
const WEIGHT_ENDING = /\.(?:safetensors|bin|pth|pt|ckpt)$/;
/** Files of a training run that hold no weights. */
const NO_WEIGHTS = /^(?:optimizer|scheduler|scaler|training_args|rng_state.*)\.(?:pt|pth|bin)$/;

/** What was taken of a folder and what was not, in words. */
export type WeightChoice = { taken: string; leftOut: readonly string[] };

export type WeightFiles = {
  /** Names in the folder. */
  names: readonly string[];
  /** Which tensor the index promises in which file; empty without an index. */
  promised: ReadonlyMap<string, string>;
  /** Undefined where there was no choice. */
  choice: WeightChoice | undefined;
};

type Candidate = { name: string; read: () => Promise<Pick<WeightFiles, 'names' | 'promised'>> };

/**
 * The weight files of a folder. A folder may hold none: only a tokenizer.
 *
 * @param readIndex parses one of the folder's indexes
 * @throws CheckpointError when shards are missing, or an index names files elsewhere.
 */
export async function findWeightFiles(
  directory: string,
  readIndex: (name: string) => Promise<ObjectReader>,
): Promise<WeightFiles> {
  const entries = new Set(await readdir(directory));
  const candidates = [
    ...LAYOUTS.flatMap(({ stem, ending }) => publishedCandidates(directory, entries, `${stem}.${ending}`, readIndex)),
    ...bareShards(directory, entries),
  ];
  const [taken, ...leftOut] = candidates;
  if (taken === undefined) return { names: [], promised: new Map(), choice: undefined };
  const choice = { taken: taken.name, leftOut: leftOut.map(({ name }) => name) };
  return { ...(await taken.read()), choice: leftOut.length === 0 ? undefined : choice };
}

/** Whether a file of this name is an adapter's. */
export function isAdapterFile(name: string): boolean {
  return ADAPTER_FILES.some((file) => file === name);
}

/** The file of an adapter; undefined where there is none. */
export async function findAdapterFile(directory: string): Promise<WeightFiles | undefined> {
  const entries = await readdir(directory);
  const [taken, ...leftOut] = ADAPTER_FILES.filter((name) => entries.includes(name));
  if (taken === undefined) return undefined;
  return { names: [taken], promised: new Map(), choice: leftOut.length === 0 ? undefined : { taken, leftOut } };
}

/** Files of a folder that look like weights, for the message that none were found where they should be. */
export async function otherWeightFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory);
  return entries.filter((name) => WEIGHT_ENDING.test(name) && !NO_WEIGHTS.test(name)).toSorted();
}

/** The single file, and the shards that an index names. */
function publishedCandidates(
  directory: string,
  entries: ReadonlySet<string>,
  single: string,
  readIndex: (name: string) => Promise<ObjectReader>,
): Candidate[] {
  const index = `${single}.index.json`;
  const candidates: Candidate[] = [];
  if (entries.has(single))
    candidates.push({ name: single, read: async () => ({ names: [single], promised: new Map() }) });
  if (entries.has(index)) {
    const count = [...entries].filter((name) => shardOf(name)?.single === single).length;
    const name = count === 0 ? index : `${index} (${count} shards)`;
    candidates.push({ name, read: async () => shardsOf(directory, entries, index, await readIndex(index)) });
  }
  return candidates;
}

function shardsOf(
  directory: string,
  entries: ReadonlySet<string>,
  indexName: string,
  index: ObjectReader,
): Pick<WeightFiles, 'names' | 'promised'> {
  const weightMap = index.object('weight_map');
  const promised = new Map(weightMap.keys().map((tensor) => [tensor, weightMap.string(tensor)]));
  const names = [...new Set(promised.values())].toSorted();
  const outside = names.find((name) => name === '' || name === '..' || basename(name) !== name || name.includes('\\'));
  if (outside !== undefined) {
    throw new CheckpointError(
      join(directory, indexName),
      `weight_map names ${quoted(outside)}, which is not a file of this folder.`,
      { fault: 'index-path' },
    );
  }
  const missing = names.filter((name) => !entries.has(name));
  if (missing.length === 0) return { names, promised };
  const others = [...entries].filter((name) => shardOf(name) !== undefined && !names.includes(name)).toSorted();
  const stale =
    others.length === 0
      ? ''
      : ` The folder also has shards that it does not list: ${listed(others)}. If they are the model, remove ${indexName}.`;
  throw missingShards(directory, missing, `${indexName} lists ${names.length} of them`, stale);
}

function missingShards(directory: string, missing: readonly string[], why: string, hint = ''): CheckpointError {
  const [first = ''] = missing;
  return new CheckpointError(
    join(directory, first),
    `this shard is missing; ${why}. Missing: ${listed(missing)}. Download what is missing to the same folder.${hint}`,
    { fault: 'index-missing-shard' },
  );
}

/** What the name of a shard says: which of how many, and of which single file they are the parts. */
function shardOf(name: string): { single: string; set: string; number: number; count: number } | undefined {
  const [, stem = '', number = '', count = '', ending = ''] = SHARD.exec(name) ?? [];
  const [at, of] = [Number(number), Number(count)];
  if (stem === '' || at === 0 || at > of) return undefined;
  return {
    single: `${stem}.${ending}`,
    set: `${stem}-*-of-${count}.${ending}`,
    number: at,
    count: of,
  };
}

/** Shards of one save, by what their names say. */
type ShardSet = { single: string; present: Set<number>; count: number };

/**
 * Shards without their index: their names say which belong together, and how many there are.
 *
 * @throws CheckpointError when there are two complete sets, of which nothing says which is the model.
 */
function bareShards(directory: string, entries: ReadonlySet<string>): Candidate[] {
  const sets = new Map<string, ShardSet>();
  for (const entry of entries) {
    const shard = shardOf(entry);
    if (shard === undefined || entries.has(`${shard.single}.index.json`)) continue;
    const { single, set, number, count } = shard;
    const known = sets.get(set) ?? { single, present: new Set(), count };
    known.present.add(number);
    sets.set(set, known);
  }
  // Complete sets before those that lack a file, and safetensors first, as everywhere.
  const isComplete = ({ present, count }: ShardSet): boolean => present.size === count;
  const rank = (set: ShardSet): number => (isComplete(set) ? 0 : 2) + (set.single.endsWith('safetensors') ? 0 : 1);
  const ranked = [...sets].toSorted(([, a], [, b]) => rank(a) - rank(b));
  return ranked.map(([name, set]) => ({
    name: `${name} (${set.present.size} of ${set.count} shards, no index)`,
    read: async () => {
      const twin = ranked.find(([other, { single }]) => other !== name && single === set.single);
      if (twin !== undefined && isComplete(set) && isComplete(twin[1])) {
        throw new CheckpointError(
          directory,
          `there are two complete sets of shards without an index, ${name} and ${twin[0]}. Remove the one that is not the model.`,
          { fault: 'index-missing-shard' },
        );
      }
      const all = Array.from({ length: set.count }, (_, index) =>
        name.replace('*', String(index + 1).padStart(5, '0')),
      );
      const missing = all.filter((shard) => !entries.has(shard));
      if (missing.length > 0) {
        throw missingShards(directory, missing, `the names of the others say that there are ${set.count}`);
      }
      return { names: all, promised: new Map<string, string>() };
    },
  }));
}

/** A few names, and how many more there are. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
