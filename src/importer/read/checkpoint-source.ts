/**
 * One source of a checkpoint as a user names it: a folder in the Hugging Face layout, or a single file of weights.
 *
 * A folder holds config.json and weights in one file or in shards, as safetensors or as PyTorch pickles; or only a tokenizer. Shards are
 * named by an index. The index is only a guide to the files: what counts is what they hold, and a tensor that the index promises but no
 * file has is an error.
 */
import { access, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError, systemErrorCode, type MinigptError } from '../../errors.ts';
import { ObjectReader } from '../../pack/object-reader.ts';
import { quoted } from './quoted.ts';
import { SafetensorsFile } from './safetensors.ts';
import type { TensorFile } from './tensor-file.ts';
import { TorchFile } from './torch-file.ts';
import type { OpenTensor } from './weights.ts';

/** Weight files of a folder, best first: safetensors hold the same as pickles and are quicker to check. */
const LAYOUTS = [
  { single: 'model.safetensors', index: 'model.safetensors.index.json' },
  { single: 'pytorch_model.bin', index: 'pytorch_model.bin.index.json' },
] as const;

export class CheckpointSource {
  /** The folder or file as it was named. */
  readonly path: string;
  /** Whether it is a folder, which may hold configs and a tokenizer. */
  readonly isFolder: boolean;
  /** Every tensor of every file, by its name there. */
  readonly tensors: ReadonlyMap<string, OpenTensor>;
  readonly #files: readonly TensorFile[];

  private constructor(path: string, isFolder: boolean, files: readonly TensorFile[]) {
    this.path = path;
    this.isFolder = isFolder;
    this.#files = files;
    const tensors = new Map<string, OpenTensor>();
    for (const file of files) {
      for (const [name, tensor] of file.tensors) {
        const other = tensors.get(name);
        if (other !== undefined) {
          throw new CheckpointError(
            file.path,
            `tensor ${name} is also in ${basename(other.file.path)}; one of the files is from another checkpoint.`,
          );
        }
        tensors.set(name, { tensor, file });
      }
    }
    this.tensors = tensors;
  }

  /**
   * Opens a folder or a file and reads the tables of its tensors, not the tensors.
   *
   * @throws CheckpointError when there is nothing, a shard is missing or damaged, or two shards hold the same tensor.
   */
  static async open(path: string): Promise<CheckpointSource> {
    const files: TensorFile[] = [];
    try {
      if (!(await isDirectory(path))) {
        files.push(await openTensorFile(path));
        return new CheckpointSource(path, false, files);
      }
      const { names, promised } = await weightFiles(path);
      for (const name of names) files.push(await openTensorFile(join(path, name)));
      const source = new CheckpointSource(path, true, files);
      for (const [tensor, name] of promised) {
        if (!source.tensors.has(tensor)) {
          throw new CheckpointError(
            join(path, name),
            `according to the index, tensor ${tensor} is here, but the file does not contain it. Download this shard again.`,
            { fault: 'index-missing-tensor' },
          );
        }
      }
      return source;
    } catch (error) {
      for (const file of files) await file.close();
      throw error;
    }
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

/** Parses a JSON file that a user or a publisher wrote. @throws CheckpointError when it cannot be read or is not a JSON object. */
export async function readJson(path: string): Promise<ObjectReader> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new CheckpointError(path, 'this file is needed, but it cannot be read. The checkpoint may be incomplete.', {
      cause,
    });
  }
  return ObjectReader.parse(text, path, checkpointError);
}

function checkpointError(file: string, message: string, options?: ErrorOptions): MinigptError {
  return new CheckpointError(file, message, options);
}

/** Opens one file of weights, by its ending. */
async function openTensorFile(path: string): Promise<TensorFile> {
  return path.endsWith('.safetensors') ? SafetensorsFile.open(path) : TorchFile.open(path);
}

/** Names of the weight files of a folder, and which tensor the index promises in which of them. A folder may hold none: only a tokenizer. */
async function weightFiles(directory: string): Promise<{ names: string[]; promised: Map<string, string> }> {
  for (const { single, index } of LAYOUTS) {
    if (await exists(join(directory, index))) return readIndex(directory, index);
    if (await exists(join(directory, single))) return { names: [single], promised: new Map() };
  }
  return { names: [], promised: new Map() };
}

async function readIndex(
  directory: string,
  indexName: string,
): Promise<{ names: string[]; promised: Map<string, string> }> {
  const index = await readJson(join(directory, indexName));
  const weightMap = index.object('weight_map');
  const promised = new Map(weightMap.keys().map((tensor) => [tensor, weightMap.string(tensor)]));
  const names = [...new Set(promised.values())].toSorted();
  for (const name of names) {
    if (name === '' || name === '..' || basename(name) !== name || name.includes('\\'))
      throw new CheckpointError(
        join(directory, indexName),
        `weight_map names ${quoted(name)}, which is not a file of this folder.`,
        { fault: 'index-path' },
      );
    if (!(await exists(join(directory, name)))) {
      throw new CheckpointError(
        join(directory, name),
        `this shard is missing; ${indexName} lists ${names.length} of them. Download it to the same folder.`,
        { fault: 'index-missing-shard' },
      );
    }
  }
  return { names, promised };
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
