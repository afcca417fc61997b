/**
 * The format of `torch.save` before PyTorch 1.6: five pickles one after the other (a magic number, a version, the machine, the object, the
 * keys of its storages), and then the storages, each behind its number of elements. Source: `_legacy_save` in torch/serialization.py.
 *
 * How long a pickle is shows only where it stops, and where a storage lies only after all before it.
 */
import { CheckpointError } from '../../errors.ts';
import type { FileBytes } from './file-bytes.ts';
import { PickleBudget } from './pickle-budget.ts';
import { PickleBytes } from './pickle-bytes.ts';
import { readPickle } from './pickle-machine.ts';
import { PickleDict, PickleList, type PickleValue } from './pickle-value.ts';
import { quoted } from './quoted.ts';
import { TorchMeaning } from './torch-meaning.ts';
import { TorchStorage, type StorageFinder } from './torch-storage.ts';

const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;
/** The 64-bit number of elements in front of each storage. */
const COUNT_BYTES = 8;

/** Whether a file that begins with these bytes may be one: a pickle says its protocol first. */
export function looksLikePickle(head: Uint8Array): boolean {
  return head[0] === 0x80;
}

/**
 * What `torch.load` would give, with tensors as descriptions.
 *
 * @throws CheckpointError when the file is damaged, hostile, or no checkpoint.
 */
export async function readLegacyTorchFile(file: FileBytes): Promise<PickleValue> {
  const storages = new Map<string, TorchStorage>();
  const reader = new PickleSequence(file, storageFinder(file, storages));
  reader.requireMagicNumber();
  const version = reader.next('the version');
  if (version !== VERSION) {
    throw file.refusal('bad-pickle', `the format has version ${show(version)}; only ${VERSION} is known.`);
  }
  requireLittleEndian(file, reader.next('the description of the machine'));
  const root = reader.next('the pickle of the checkpoint');
  const keys = reader.next('the list of storages');
  await placeStorages(file, storages, keys, reader.position);
  return root;
}

/** Reads pickles that follow one another. */
class PickleSequence {
  readonly #file: FileBytes;
  readonly #meaning: TorchMeaning;
  readonly #budget: PickleBudget;
  /** Where the next pickle begins. */
  position = 0;

  constructor(file: FileBytes, findStorage: StorageFinder) {
    this.#file = file;
    this.#budget = new PickleBudget(file.path);
    this.#meaning = new TorchMeaning(file.path, findStorage, this.#budget);
  }

  next(what: string): PickleValue {
    const { path, size } = this.#file;
    const bytes = new PickleBytes({
      path,
      what,
      begin: this.position,
      end: size,
      endFault: 'truncated',
      read: (position, length) => this.#file.readNow(position, length),
    });
    const value = readPickle(bytes, this.#meaning, this.#budget);
    this.position = bytes.position;
    return value;
  }

  /** A file that begins with another pickle may be anything, a hostile one included; only then is it called that. */
  requireMagicNumber(): void {
    let first: PickleValue = null;
    try {
      first = this.next('the magic number');
    } catch (error) {
      if (error instanceof CheckpointError && error.fault === 'unsafe-pickle') throw error;
    }
    if (first === MAGIC_NUMBER) return;
    throw this.#file.refusal(
      'not-a-checkpoint',
      'it begins like a pickle, but PyTorch did not write it. Give a file of weights that torch.save wrote.',
    );
  }
}

function requireLittleEndian(file: FileBytes, machine: PickleValue): void {
  const littleEndian = machine instanceof PickleDict ? machine.get('little_endian') : undefined;
  if (littleEndian === true) return;
  if (littleEndian === false) {
    throw file.refusal(
      'unsupported-byteorder',
      'its numbers are big-endian, which cannot be read. Save it again on a little-endian computer, such as any PC.',
    );
  }
  throw file.refusal('bad-pickle', 'it does not say its byte order. The file is damaged; download it again.');
}

/** Storages as the pickle speaks of them; where they lie is not known yet. */
function storageFinder(file: FileBytes, storages: Map<string, TorchStorage>): StorageFinder {
  return (key, dtype, elements) => {
    // The first tensor that looks at a storage makes it known.
    const storage = storages.get(key) ?? new TorchStorage(key, dtype, elements);
    if (storage.dtype !== dtype || storage.elements !== elements) {
      throw file.refusal(
        'storage-size-mismatch',
        `storage ${quoted(key)} is described twice: with ${storage.elements} elements of ${storage.dtype}, and with ${elements} of ${dtype}.`,
      );
    }
    storages.set(key, storage);
    return storage;
  };
}

/** Walks over the storages behind the pickles and notes where each lies. `keys` is their order. */
async function placeStorages(
  file: FileBytes,
  storages: ReadonlyMap<string, TorchStorage>,
  keys: PickleValue,
  begin: number,
): Promise<void> {
  if (!(keys instanceof PickleList)) throw file.refusal('bad-pickle', 'its list of storages is not a list.');
  let position = begin;
  for (const key of keys.items) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (storage === undefined || storage.position !== undefined) {
      throw file.refusal('bad-pickle', `its list of storages has ${show(key)}, which is unknown or repeated.`);
    }
    const count = Buffer.from(await file.read(position, COUNT_BYTES)).readBigInt64LE();
    if (count !== BigInt(storage.elements)) {
      throw file.refusal(
        'storage-size-mismatch',
        `storage ${quoted(storage.key)} should hold ${storage.elements} elements, but has ${count}. The file is damaged; download it again.`,
      );
    }
    storage.position = position + COUNT_BYTES;
    position = storage.position + storage.byteLength;
    if (position > file.size) {
      throw file.refusal(
        'truncated',
        `storage ${quoted(storage.key)} ends at byte ${position}, but the file has ${file.size}. It is incomplete; download it again.`,
      );
    }
  }
  for (const storage of storages.values()) {
    if (storage.position === undefined) {
      throw file.refusal(
        'missing-storage',
        `a tensor refers to storage ${quoted(storage.key)}, which is not in the file. Download the file again.`,
      );
    }
  }
}

function show(value: PickleValue): string {
  return typeof value === 'string' ? quoted(value) : typeof value === 'number' ? String(value) : 'something else';
}
