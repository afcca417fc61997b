/**
 * Reads safetensors files (spec 8.2): a length, a JSON header, and the tensors' bytes behind it.
 *
 * Only the header is held in memory; tensors are read in pieces when asked for. The file is untrusted: every size and offset is
 * checked before use.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { CheckpointError } from '../../errors.ts';
import { dtypeBytes, isDtype, type Dtype } from '../../tensor/dtype.ts';

/** A tensor of a checkpoint: what it is and where its bytes lie. */
export type StoredTensor = {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  /** Path of the file that holds the bytes. */
  file: string;
  /** Position of the first byte in that file. */
  offset: number;
  byteLength: number;
};

const MAX_HEADER_BYTES = 100 * 2 ** 20;

/** An open safetensors file. Close it, or its file handle leaks. */
export class SafetensorsFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle, tensors: ReadonlyMap<string, StoredTensor>) {
    this.path = path;
    this.#handle = handle;
    this.tensors = tensors;
  }

  /**
   * Opens a file and validates its header.
   *
   * @throws CheckpointError when the file cannot be opened, or the header is too long, is not JSON, or lies about sizes or positions.
   */
  static async open(path: string): Promise<SafetensorsFile> {
    const handle = await open(path, 'r').catch((cause: unknown) => {
      throw new CheckpointError(path, `the file cannot be opened (${String(cause)}).`, { cause });
    });
    try {
      return new SafetensorsFile(path, handle, await readHeader(path, handle));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Reads `length` bytes of a tensor from its byte `start` on; the whole tensor by default. */
  async read(tensor: StoredTensor, start = 0, length = tensor.byteLength - start): Promise<Uint8Array> {
    return readExactly(this.#handle, this.path, tensor.offset + start, length);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function readHeader(path: string, handle: FileHandle): Promise<Map<string, StoredTensor>> {
  const { size } = await handle.stat();
  if (size < 8) {
    throw new CheckpointError(path, `a safetensors file has at least 8 bytes, this one has ${size}.`);
  }
  const prefix = await readExactly(handle, path, 0, 8);
  const declared = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(Math.min(MAX_HEADER_BYTES, size - 8))) {
    throw new CheckpointError(
      path,
      `the header claims ${declared} bytes, but the file has ${size}. It is damaged or not a safetensors file.`,
    );
  }
  const headerBytes = Number(declared);
  const header = parseHeader(path, await readExactly(handle, path, 8, headerBytes));
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name !== '__metadata__') tensors.set(name, checkEntry(path, name, entry, 8 + headerBytes, size));
  }
  requireContiguous(path, [...tensors.values()], 8 + headerBytes, size);
  return tensors;
}

function parseHeader(path: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(path, 'the header is not valid JSON. The file is damaged or not a safetensors file.', {
      cause,
    });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new CheckpointError(path, 'the header is not a JSON object.');
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw new CheckpointError(path, `the header names tensor ${repeated} twice.`);
  return header as Record<string, unknown>;
}

/**
 * The first key that the object written in `text` (valid JSON) has twice. `JSON.parse` keeps the last one without a word, and other readers
 * may keep the first: such a file would be another model for us than for them.
 */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  // A loop, for a regular expression runs out of stack on strings of some megabytes.
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    else if (character === '"') {
      const start = at++;
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      let next = at + 1;
      while (' \t\n\r'.includes(text[next] ?? '.')) next++;
      if (depth !== 1 || text[next] !== ':') continue;
      const key = String(JSON.parse(text.slice(start, at + 1)));
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}

function checkEntry(path: string, name: string, entry: unknown, dataStart: number, fileSize: number): StoredTensor {
  const { dtype, shape, data_offsets: offsets } = Object(entry) as Record<string, unknown>;
  if (!isDtype(dtype)) {
    throw new CheckpointError(
      path,
      `tensor ${name} has the type ${JSON.stringify(dtype) ?? 'undefined'}, which is not supported.`,
    );
  }
  if (!isCountList(shape) || !isCountList(offsets) || offsets.length !== 2) {
    throw new CheckpointError(path, `tensor ${name} has no valid shape and data_offsets.`);
  }
  const [begin, end] = offsets as [number, number];
  const byteLength = shape.reduce((product, size) => product * size, dtypeBytes(dtype));
  if (end - begin !== byteLength || dataStart + end > fileSize) {
    throw new CheckpointError(
      path,
      `tensor ${name} of shape [${shape.join(', ')}] needs ${byteLength} bytes, but its data_offsets are [${begin}, ${end}] in ${fileSize - dataStart} bytes of data.`,
    );
  }
  return { name, dtype, shape, file: path, offset: dataStart + begin, byteLength };
}

/** The tensors must fill the data from its first byte to the last, as the format demands: bytes that nobody owns could hold anything. */
function requireContiguous(path: string, tensors: StoredTensor[], dataStart: number, fileSize: number): void {
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const tensor of tensors) {
    if (tensor.offset < end)
      throw new CheckpointError(path, `tensor ${tensor.name} overlaps with the tensor before it.`);
    if (tensor.offset > end)
      throw new CheckpointError(path, `${tensor.offset - end} bytes before tensor ${tensor.name} belong to no tensor.`);
    end = tensor.offset + tensor.byteLength;
  }
  if (end !== fileSize)
    throw new CheckpointError(path, `${fileSize - end} bytes at the end of the file belong to no tensor.`);
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

async function readExactly(handle: FileHandle, path: string, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0)
      throw new CheckpointError(path, `the file ends after ${position + filled} bytes, while it was read.`);
    filled += bytesRead;
  }
  return bytes;
}
