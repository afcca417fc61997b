/**
 * The format of `torch.save` since PyTorch 1.6: a zip archive with a pickle, `data.pkl`, and one entry of raw bytes per storage. Source: `_save`
 * in torch/serialization.py.
 */
import type { FileBytes } from './file-bytes.ts';
import { MAX_PICKLE_BYTES, PickleBudget } from './pickle-budget.ts';
import { PickleBytes } from './pickle-bytes.ts';
import { readPickle } from './pickle-machine.ts';
import type { PickleValue } from './pickle-value.ts';
import { quoted } from './quoted.ts';
import { TorchMeaning } from './torch-meaning.ts';
import { TorchStorage, type StorageFinder } from './torch-storage.ts';
import { readZipArchive, type ZipArchive } from './zip-archive.ts';

const PICKLE = 'data.pkl';
/** Entries that a compiled model has beside `data.pkl`. */
const TORCHSCRIPT_MARK = 'constants.pkl';
const BYTE_ORDER = 'byteorder';
const MAX_BYTE_ORDER_BYTES = 16;

/**
 * What `torch.load` would give, with tensors as descriptions.
 *
 * @throws CheckpointError when the file is damaged, hostile, or holds what cannot be read.
 */
export async function readZipTorchFile(file: FileBytes): Promise<PickleValue> {
  const archive = await readZipArchive(file);
  const pickle = archive.entries.get(PICKLE);
  if (pickle === undefined) {
    throw file.refusal(
      'missing-data-pkl',
      `this zip file contains no ${PICKLE}, so PyTorch did not write it. Give the file of weights itself.`,
    );
  }
  if (archive.entries.has(TORCHSCRIPT_MARK)) {
    throw file.refusal(
      'unsupported-torchscript',
      'this is a compiled TorchScript model, which holds a program. Export its state_dict with torch.save instead.',
    );
  }
  if (pickle.size > MAX_PICKLE_BYTES) {
    throw file.refusal(
      'too-large',
      `${PICKLE} has ${pickle.size} bytes; at most ${MAX_PICKLE_BYTES} are expected, as the weights are not in it.`,
    );
  }
  await requireLittleEndian(file, archive);
  const budget = new PickleBudget(file.path);
  const bytes = new PickleBytes({
    path: file.path,
    what: PICKLE,
    begin: pickle.position,
    end: pickle.position + pickle.size,
    endFault: 'bad-pickle',
    read: (position, length) => file.readNow(position, length),
  });
  return readPickle(bytes, new TorchMeaning(file.path, storagesOf(file, archive), budget), budget);
}

/** PyTorch writes the byte order down since 2.1; before, it was that of the machine, and such machines are little-endian. */
async function requireLittleEndian(file: FileBytes, archive: ZipArchive): Promise<void> {
  const entry = archive.entries.get(BYTE_ORDER);
  if (entry === undefined) return;
  const text = Buffer.from(await file.read(entry.position, Math.min(entry.size, MAX_BYTE_ORDER_BYTES))).toString();
  if (text === 'little') return;
  throw file.refusal(
    'unsupported-byteorder',
    `its numbers are in the byte order ${quoted(text)}; only "little" can be read. Save it again on a little-endian computer, such as any PC.`,
  );
}

/** The storages of the archive; each key is one storage, however often it is referred to. */
function storagesOf(file: FileBytes, archive: ZipArchive): StorageFinder {
  const storages = new Map<string, TorchStorage>();
  return (key, dtype, elements) => {
    const known = storages.get(key);
    const entry = archive.entries.get(`data/${key}`);
    if (entry === undefined) {
      throw file.refusal(
        'missing-storage',
        `a tensor refers to storage ${quoted(key)}, which is not in the file. Download the file again.`,
      );
    }
    const storage = known ?? new TorchStorage(key, dtype, elements, entry.position);
    if (storage.byteLength !== entry.size || storage.dtype !== dtype || storage.elements !== elements) {
      throw file.refusal(
        'storage-size-mismatch',
        `storage ${quoted(key)} should hold ${elements} elements of ${dtype}, but has ${entry.size} bytes. The file is damaged; download it again.`,
      );
    }
    storages.set(key, storage);
    return storage;
  };
}
