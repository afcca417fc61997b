/**
 * A checkpoint in the Hugging Face layout: a folder with config.json and one or several safetensors files (spec 8.1, 8.2).
 *
 * Shards are named by `model.safetensors.index.json`. The index is only a guide to the files: what counts is what their headers hold,
 * and a tensor that the index promises but no file has is an error.
 */
import { access, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import { ObjectReader } from '../../pack/object-reader.ts';
import { SafetensorsFile, type StoredTensor } from './safetensors.ts';

const SINGLE_FILE = 'model.safetensors';
const INDEX_FILE = 'model.safetensors.index.json';

export class CheckpointFolder {
  readonly directory: string;
  /** Every tensor of every shard, by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #files: ReadonlyMap<string, SafetensorsFile>;

  private constructor(directory: string, files: ReadonlyMap<string, SafetensorsFile>) {
    this.directory = directory;
    this.#files = files;
    const tensors = new Map<string, StoredTensor>();
    for (const file of files.values()) {
      for (const [name, tensor] of file.tensors) {
        const other = tensors.get(name);
        if (other !== undefined) {
          throw new CheckpointError(
            file.path,
            `tensor ${name} also stands in ${basename(other.file)}; one of the files is from another checkpoint.`,
          );
        }
        tensors.set(name, tensor);
      }
    }
    this.tensors = tensors;
  }

  /**
   * Opens all weight files of a folder.
   *
   * @throws CheckpointError when there are none, a shard is missing or damaged, or two shards hold the same tensor.
   */
  static async open(directory: string): Promise<CheckpointFolder> {
    const files = new Map<string, SafetensorsFile>();
    try {
      const { names, promised } = await weightFiles(directory);
      for (const name of names) {
        const path = join(directory, name);
        files.set(path, await SafetensorsFile.open(path));
      }
      const folder = new CheckpointFolder(directory, files);
      for (const [tensor, name] of promised) {
        if (!folder.tensors.has(tensor)) {
          throw new CheckpointError(
            join(directory, name),
            `the index places tensor ${tensor} here, but the file does not hold it. Download this shard again.`,
          );
        }
      }
      return folder;
    } catch (error) {
      for (const file of files.values()) await file.close();
      throw error;
    }
  }

  /** Paths of the weight files, in the order of their names. */
  get weightPaths(): string[] {
    return [...this.#files.keys()];
  }

  /** Reads `length` bytes of a tensor of this folder from its byte `start` on. */
  async read(tensor: StoredTensor, start: number, length: number): Promise<Uint8Array> {
    const file = this.#files.get(tensor.file);
    if (file === undefined) throw new CheckpointError(tensor.file, 'this file is not part of the opened checkpoint.');
    return file.read(tensor, start, length);
  }

  /** Parses one of the JSON files beside the weights. */
  async json(name: string): Promise<ObjectReader> {
    const path = join(this.directory, name);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (cause) {
      throw new CheckpointError(path, 'this file is needed and cannot be read. Is the checkpoint complete?', { cause });
    }
    return ObjectReader.parse(text, path, (file, message, options) => new CheckpointError(file, message, options));
  }

  async has(name: string): Promise<boolean> {
    return exists(join(this.directory, name));
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }
}

/** Names of the weight files of a folder, and which tensor the index promises in which of them. */
async function weightFiles(directory: string): Promise<{ names: string[]; promised: Map<string, string> }> {
  const indexPath = join(directory, INDEX_FILE);
  if (await exists(indexPath)) {
    const text = await readFile(indexPath, 'utf8');
    const index = ObjectReader.parse(
      text,
      indexPath,
      (file, message, options) => new CheckpointError(file, message, options),
    );
    const weightMap = index.object('weight_map');
    const promised = new Map(weightMap.keys().map((tensor) => [tensor, weightMap.string(tensor)]));
    const names = [...new Set(promised.values())].toSorted();
    for (const name of names) {
      if (basename(name) !== name)
        throw new CheckpointError(
          indexPath,
          `weight_map names ${JSON.stringify(name)}, which is not a file of this folder.`,
        );
      if (!(await exists(join(directory, name)))) {
        throw new CheckpointError(
          join(directory, name),
          `this shard is missing; ${INDEX_FILE} lists ${names.length} of them. Download it beside the others.`,
        );
      }
    }
    return { names, promised };
  }
  if (await exists(join(directory, SINGLE_FILE))) return { names: [SINGLE_FILE], promised: new Map() };
  throw new CheckpointError(directory, `expected ${SINGLE_FILE} or ${INDEX_FILE} with its shards; found neither.`);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
