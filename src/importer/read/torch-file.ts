/**
 * Reads what `torch.save` wrote, `.pth` or `.bin`, without Python and without running anything.
 *
 * The pickle is read at once, the weights are not: a tensor is a description until somebody reads it, and those of an optimizer are never read.
 */
import { CheckpointError } from '../../errors.ts';
import { FileBytes } from './file-bytes.ts';
import { guessByHead, HEAD_BYTES } from './instead-of-weights.ts';
import { looksLikePickle, readLegacyTorchFile } from './legacy-torch-file.ts';
import { PickleDict, type PickleValue } from './pickle-value.ts';
import { plainSettings, type PlainValue } from './plain-settings.ts';
import type { StoredTensor, TensorFile } from './tensor-file.ts';
import { TensorReader } from './tensor-reader.ts';
import { TorchTensor } from './torch-tensor.ts';
import { looksLikeZip } from './zip-archive.ts';
import { readZipTorchFile } from './zip-torch-file.ts';

/** Where a training checkpoint keeps its weights, beside the optimizer and other things; the first that holds tensors counts. */
const STATE_DICT_KEYS = ['model', 'state_dict', 'model_state_dict', 'module'];

/** An open PyTorch file. Close it, or its file handle leaks. */
export class TorchFile implements TensorFile {
  readonly path: string;
  /** The tensors of the state dict, by their names there. A file that is one tensor has it under the empty name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * What a training run wrote down as `config.model` beside its weights, as plain data; empty where there is none. Leaves that are no plain
   * data are left out.
   */
  readonly settings: PlainValue;
  readonly #file: FileBytes;
  readonly #reader: TensorReader;
  readonly #descriptions: ReadonlyMap<string, TorchTensor>;

  private constructor(file: FileBytes, root: PickleValue) {
    const { stateDict, isWrapped } = findStateDict(root);
    this.path = file.path;
    this.settings = isWrapped ? readSettings(file.path, root) : {};
    this.#file = file;
    this.#reader = new TensorReader(file);
    this.#descriptions = stateDict;
    this.tensors = new Map(
      [...stateDict].map(([name, { dtype, shape, byteLength }]) => [
        name,
        { name, dtype, shape, file: file.path, byteLength },
      ]),
    );
  }

  /**
   * Opens a file, reads its pickle and checks what it says of the weights.
   *
   * @throws CheckpointError when the file cannot be opened, is no PyTorch checkpoint, is damaged, or would run something.
   */
  static async open(path: string): Promise<TorchFile> {
    const file = await FileBytes.open(path);
    try {
      return new TorchFile(file, await readTorchFile(file));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async read(tensor: StoredTensor, start = 0, length = tensor.byteLength - start): Promise<Uint8Array> {
    const description = this.#descriptions.get(tensor.name);
    if (description === undefined) throw new CheckpointError(this.path, `tensor ${tensor.name} is not in this file.`);
    return this.#reader.read(description, start, length);
  }

  positionOf(tensor: StoredTensor): number | undefined {
    const description = this.#descriptions.get(tensor.name);
    return description && this.#reader.positionOf(description);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/**
 * All that a file holds, tensors as descriptions: what `torch.load` would give.
 *
 * @throws CheckpointError when the file is no PyTorch checkpoint, is damaged, or would run something.
 */
export async function readTorchFile(file: FileBytes): Promise<PickleValue> {
  const head = await file.read(0, Math.min(file.size, HEAD_BYTES));
  if (looksLikeZip(head)) return readZipTorchFile(file);
  if (looksLikePickle(head)) return readLegacyTorchFile(file);
  throw file.refusal('not-a-checkpoint', `this is not a PyTorch checkpoint: ${guess(head)}.`);
}

/** What a file is instead of a checkpoint. */
function guess(head: Uint8Array): string {
  if (head[8] === 0x7b) return 'it may be a safetensors file. Give it the ending .safetensors';
  return guessByHead(head) ?? 'its beginning does not match any format of PyTorch. Download it again';
}

/** The tensors that an importer wants, and whether they were beside other things. Whatever else a state dict holds is no weight. */
function findStateDict(root: PickleValue): { stateDict: ReadonlyMap<string, TorchTensor>; isWrapped: boolean } {
  if (root instanceof TorchTensor) return { stateDict: new Map([['', root]]), isWrapped: false };
  if (!(root instanceof PickleDict)) return { stateDict: new Map(), isWrapped: false };
  for (const key of STATE_DICT_KEYS) {
    const stateDict = tensorsOf(root.get(key));
    if (stateDict.size > 0) return { stateDict, isWrapped: true };
  }
  return { stateDict: tensorsOf(root), isWrapped: false };
}

function tensorsOf(value: PickleValue | undefined): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  if (!(value instanceof PickleDict)) return tensors;
  for (const [name, item] of value.entries) {
    if (typeof name === 'string' && item instanceof TorchTensor) tensors.set(name, item);
  }
  return tensors;
}

function readSettings(path: string, root: PickleValue): PlainValue {
  const config = root instanceof PickleDict ? root.get('config') : undefined;
  const model = config instanceof PickleDict ? config.get('model') : undefined;
  return model instanceof PickleDict ? plainSettings(path, model) : {};
}
