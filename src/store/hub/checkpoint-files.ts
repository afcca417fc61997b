/**
 * Which files of a repository make a checkpoint: the configs, the tokenizers, and the weights in one format, safetensors where they exist.
 *
 * A repository often holds the same weights several times; fetching all of it would double the download.
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

const WEIGHTS: Readonly<Record<WeightFormat, { index: string; single: string }>> = {
  safetensors: { index: 'model.safetensors.index.json', single: 'model.safetensors' },
  pytorch: { index: 'pytorch_model.bin.index.json', single: 'pytorch_model.bin' },
};

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
  const { files } = repository;
  const { index, single } = chooseFormat(repository, request.format);
  const sharded = files.has(index);
  const small = [...files.keys()].filter((path) => isBesideTheWeights(path));
  const first = [...new Set(['config.json', ...small, ...(sharded ? [index] : [])])];
  await repository.fetch(first, request.onFile);
  const weights = sharded ? shardsOf(await repository.json(index)) : [single];
  request.onPlan?.([...first, ...weights]);
  await repository.fetch(weights, request.onFile);
  return repository.folder;
}

function isBesideTheWeights(path: string): boolean {
  const name = path.startsWith(QFORMER_TOKENIZER) ? path.slice(QFORMER_TOKENIZER.length) : path;
  return BESIDE_THE_WEIGHTS.has(name);
}

function chooseFormat(repository: HubRepository, format: WeightFormat | undefined): { index: string; single: string } {
  const formats = format === undefined ? WEIGHT_FORMATS : [format];
  const found = formats
    .map((candidate) => WEIGHTS[candidate])
    .find(({ index, single }) => repository.files.has(index) || repository.files.has(single));
  if (found !== undefined) return found;
  throw repository.notHere([formats.map((candidate) => WEIGHTS[candidate].single).join(' or ')]);
}

/** The files that an index names, each once, in its order. */
function shardsOf(index: ObjectReader): string[] {
  const map = index.object('weight_map');
  return [...new Set(map.keys().map((tensor) => map.string(tensor)))].toSorted();
}
