/**
 * Which files of a repository make a checkpoint: the configs, the tokenizers, and the weights in one layout.
 *
 * A repository often holds the same weights several times; fetching all of it would double the download. What is fetched is what the importer and
 * transformers read of a folder with all of them: safetensors before pickles, a single file before shards.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import type { HubFile, HubRepository } from './hub-repository.ts';

export const WEIGHT_FORMATS = ['safetensors', 'pytorch'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** Everything that is small and may be needed, where the repository has it. */
const BESIDE_THE_WEIGHTS = new Set([
  'config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
  'spiece.model',
  'tokenizer.model',
]);
const QFORMER_TOKENIZER = 'qformer_tokenizer/';

const WEIGHTS: Readonly<Record<WeightFormat, { index: string; single: string; shard: RegExp }>> = {
  safetensors: {
    index: 'model.safetensors.index.json',
    single: 'model.safetensors',
    shard: /^model-(\d{5})-of-(\d{5})\.safetensors$/,
  },
  pytorch: {
    index: 'pytorch_model.bin.index.json',
    single: 'pytorch_model.bin',
    shard: /^pytorch_model-(\d{5})-of-(\d{5})\.bin$/,
  },
};

/** The files of one layout; with an index, only this says which they are. */
type Layout = { index: string } | { weights: readonly string[] };

export type CheckpointRequest = {
  /** Only this format; by default the best that is there. */
  format?: WeightFormat | undefined;
  /** Called before the weights are fetched, with every file of the checkpoint. */
  onPlan?: (paths: readonly string[]) => void;
  onFile?: (file: HubFile) => void;
};

/**
 * Fetches a checkpoint of the repository.
 *
 * @returns the folder in the hub cache where it lies.
 * @throws DownloadError when the repository holds none or it cannot be fetched.
 */
export async function fetchCheckpoint(repository: HubRepository, request: CheckpointRequest = {}): Promise<string> {
  const layout = chooseLayout(repository, request.format);
  const small = [...repository.files.keys()].filter((path) => isBesideTheWeights(path));
  const first = [...new Set(['config.json', ...small, ...('index' in layout ? [layout.index] : [])])];
  await repository.fetch(first, request.onFile);
  const weights = 'index' in layout ? shardsOf(await repository.json(layout.index)) : layout.weights;
  request.onPlan?.([...first, ...weights]);
  await repository.fetch(weights, request.onFile);
  return repository.folder;
}

function isBesideTheWeights(path: string): boolean {
  const name = path.startsWith(QFORMER_TOKENIZER) ? path.slice(QFORMER_TOKENIZER.length) : path;
  return BESIDE_THE_WEIGHTS.has(name);
}

function chooseLayout(repository: HubRepository, format: WeightFormat | undefined): Layout {
  const { files } = repository;
  const formats = (format === undefined ? WEIGHT_FORMATS : [format]).map((candidate) => WEIGHTS[candidate]);
  for (const { index, single } of formats) {
    if (files.has(single)) return { weights: [single] };
    if (files.has(index)) return { index };
  }
  // Somebody may have left the index out.
  for (const { shard } of formats) {
    const weights = completeShards([...files.keys()], shard);
    if (weights !== undefined) return { weights };
  }
  throw repository.notHere([formats.map(({ single }) => single).join(' or ')]);
}

/** The shards whose names say that none is missing; undefined where there are none, or sets of different lengths. */
function completeShards(paths: readonly string[], shard: RegExp): string[] | undefined {
  const sets = new Map<number, string[]>();
  for (const path of paths) {
    const count = Number(shard.exec(path)?.[2] ?? 0); // 0: no shard
    if (count > 0) sets.set(count, [...(sets.get(count) ?? []), path]);
  }
  const [only, ...more] = [...sets].filter(([count, names]) => names.length === count);
  return only !== undefined && more.length === 0 ? only[1].toSorted() : undefined;
}

/** The files that an index names, each once, in its order. */
function shardsOf(index: ObjectReader): string[] {
  const map = index.object('weight_map');
  return [...new Set(map.keys().map((tensor) => map.string(tensor)))].toSorted();
}
