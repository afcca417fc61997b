/**
 * One source of a checkpoint as a user names it: a folder in the Hugging Face layout, or a single file of weights.
 *
 * A folder holds config.json and weights in one file or in shards, as safetensors or as PyTorch pickles; or an adapter in PEFT's layout; or only
 * a tokenizer. An index of shards is only a guide to the files: what counts is what they hold, and a tensor that the index promises but no file
 * has is an error.
 */
import { access, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CheckpointError, systemErrorCode, type MinigptError } from '../../errors.ts';
import { ObjectReader } from '../../pack/object-reader.ts';
import { unwrapped } from '../names/wrappers.ts';
import { snapshotFolder } from './hub-cache-folder.ts';
import { SafetensorsFile } from './safetensors.ts';
import { readSmallFile } from './small-file.ts';
import type { TensorFile } from './tensor-file.ts';
import { TorchFile } from './torch-file.ts';
import { findAdapterFile, findWeightFiles, isAdapterFile, type WeightChoice } from './weight-files.ts';
import type { OpenTensor } from './weights.ts';

/** The file that makes a folder an adapter. */
export const ADAPTER_CONFIG = 'adapter_config.json';

export class CheckpointSource {
  /** The folder or file: as it was named, or the snapshot of the hub cache that the name stands for. */
  readonly path: string;
  /** Whether it is a folder, which may hold configs and a tokenizer. */
  readonly isFolder: boolean;
  /** Whether it is an adapter in PEFT's layout, which changes the weights of another source. */
  readonly isAdapter: boolean;
  /** Which weight files were taken where the folder holds several; undefined where there was no choice. */
  readonly choice: WeightChoice | undefined;
  /** Every tensor of every file, by its name there without the marks of wrappers. */
  readonly tensors: ReadonlyMap<string, OpenTensor>;
  readonly #files: readonly TensorFile[];

  private constructor(
    path: string,
    { isFolder, isAdapter, choice }: Pick<CheckpointSource, 'isFolder' | 'isAdapter' | 'choice'>,
    files: readonly TensorFile[],
  ) {
    this.path = path;
    this.isFolder = isFolder;
    this.isAdapter = isAdapter;
    this.choice = choice;
    this.#files = files;
    this.tensors = tensorsOf(files);
  }

  /**
   * Opens a folder or a file and reads the tables of its tensors, not the tensors.
   *
   * @throws CheckpointError when there is nothing, a shard is missing or damaged, or two shards hold the same tensor.
   */
  static async open(path: string): Promise<CheckpointSource> {
    const files: TensorFile[] = [];
    try {
      if (await isDirectory(path)) return await CheckpointSource.#openFolder(await snapshotFolder(path), files);
      // The file of an adapter means nothing without the config beside it.
      if (isAdapterFile(basename(path)) && (await exists(join(dirname(path), ADAPTER_CONFIG)))) {
        return await CheckpointSource.#openFolder(dirname(path), files);
      }
      files.push(await openTensorFile(path));
      return new CheckpointSource(path, { isFolder: false, isAdapter: false, choice: undefined }, files);
    } catch (error) {
      for (const file of files) await file.close();
      throw error;
    }
  }

  /** @param opened gets each file as soon as it is open, for whoever closes them when the next one fails. */
  static async #openFolder(folder: string, opened: TensorFile[]): Promise<CheckpointSource> {
    const weights = await findWeightFiles(folder, async (name) => readJson(join(folder, name)));
    const adapter = (await exists(join(folder, ADAPTER_CONFIG))) ? await findAdapterFile(folder) : undefined;
    const [model] = weights.names;
    if (adapter !== undefined && model !== undefined) {
      throw new CheckpointError(
        folder,
        `this folder holds both a model (${model}) and an adapter (${ADAPTER_CONFIG}). Move the two files of the adapter to a folder of its own and give that after this one; or remove them if the model has been merged with it.`,
      );
    }
    const { names, promised, choice } = adapter ?? weights;
    for (const name of names) opened.push(await openTensorFile(join(folder, name)));
    const source = new CheckpointSource(folder, { isFolder: true, isAdapter: adapter !== undefined, choice }, opened);
    for (const [tensor, name] of promised) {
      if (source.tensors.has(unwrapped(tensor))) continue;
      throw new CheckpointError(
        join(folder, name),
        `according to the index, tensor ${tensor} is here, but the file does not contain it. Download this shard again.`,
        { fault: 'index-missing-tensor' },
      );
    }
    return source;
  }

  /** Paths of the weight files, in the order of their names. */
  get weightPaths(): string[] {
    return this.#files.map((file) => file.path);
  }

  /**
   * The settings that a training run wrote beside its weights (`config.model` of the checkpoints of LAVIS, MiniGPT-4 and TinyGPT-V), as
   * plain data; empty where a source has none, as most have none.
   */
  get trainingSettings(): ObjectReader {
    const settings = this.#files.flatMap((file) => (file instanceof TorchFile ? [file.settings] : []));
    const text = JSON.stringify(settings[0] ?? {});
    return ObjectReader.parse(text, this.path, checkpointError);
  }

  /** Parses one of the JSON files of a folder. @throws CheckpointError when it cannot be read. */
  async json(name: string): Promise<ObjectReader> {
    return readJson(join(this.path, name));
  }

  async has(name: string): Promise<boolean> {
    return this.isFolder && exists(join(this.path, name));
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }
}

/** The tensors of all files. @throws CheckpointError for two of the same name. */
function tensorsOf(files: readonly TensorFile[]): Map<string, OpenTensor> {
  const tensors = new Map<string, OpenTensor>();
  for (const file of files) {
    for (const [stored, tensor] of file.tensors) {
      const name = unwrapped(stored);
      const other = tensors.get(name);
      if (other !== undefined) {
        const same =
          other.file === file
            ? `it holds tensor ${name} twice, as ${other.tensor.name} and as ${stored}. Save the checkpoint again with one of them.`
            : `tensor ${name} is also in ${basename(other.file.path)}; one of the files is from another checkpoint.`;
        throw new CheckpointError(file.path, same);
      }
      tensors.set(name, { tensor, file });
    }
  }
  return tensors;
}

/** Parses a JSON file that a user or a publisher wrote. @throws CheckpointError when it cannot be read or is not a JSON object. */
export async function readJson(path: string): Promise<ObjectReader> {
  const bytes = await readSmallFile(path);
  if (bytes === undefined) {
    throw new CheckpointError(path, 'this file is needed, but it is missing. The checkpoint may be incomplete.');
  }
  return ObjectReader.parse(bytes.toString('utf8'), path, checkpointError);
}

function checkpointError(file: string, message: string, options?: ErrorOptions): MinigptError {
  return new CheckpointError(file, message, options);
}

/** Opens one file of weights, by its ending. */
async function openTensorFile(path: string): Promise<TensorFile> {
  return path.endsWith('.safetensors') ? SafetensorsFile.open(path) : TorchFile.open(path);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    const message =
      systemErrorCode(cause) === 'ENOENT'
        ? 'there is no such file or folder. Give the folder of a checkpoint, or its files in order.'
        : `it cannot be read (${String(cause)}).`;
    throw new CheckpointError(path, message, { cause });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
