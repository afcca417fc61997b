/**
 * Reads safetensors files (https://github.com/huggingface/safetensors): a length, a JSON header, and the tensors' bytes behind it.
 *
 * Only the header is held in memory; tensors are read in pieces when asked for. The file is untrusted: every size and offset is
 * checked before use.
 */
import { CheckpointError, type CheckpointFault } from '../../errors.ts';
import { dtypeBytes, isDtype } from '../../tensor/dtype.ts';
import { FileBytes } from './file-bytes.ts';
import { guessByHead, HEAD_BYTES } from './instead-of-weights.ts';
import { cut, quoted } from './quoted.ts';
import type { StoredTensor, TensorFile } from './tensor-file.ts';

/** A tensor with the position of its first byte in the file. */
type PlacedTensor = StoredTensor & { offset: number };

const MAX_HEADER_BYTES = 100 * 2 ** 20;
/** A header is three levels deep: tensors, their entries, shapes. */
const MAX_HEADER_DEPTH = 16;
/** Braces, brackets and commas of a header. An entry has about ten; so many would be 400,000 tensors. */
const MAX_HEADER_TOKENS = 4_000_000;

/** An open safetensors file. Close it, or its file handle leaks. */
export class SafetensorsFile implements TensorFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  readonly #file: FileBytes;

  private constructor(file: FileBytes, tensors: ReadonlyMap<string, PlacedTensor>) {
    this.path = file.path;
    this.#file = file;
    this.tensors = tensors;
  }

  /**
   * Opens a file and validates its header.
   *
   * @throws CheckpointError when the file cannot be opened, or the header is too long, is not JSON, or lies about sizes or positions.
   */
  static async open(path: string): Promise<SafetensorsFile> {
    const file = await FileBytes.open(path);
    try {
      return new SafetensorsFile(file, await readHeader(file));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async read(tensor: StoredTensor, start = 0, length = tensor.byteLength - start): Promise<Uint8Array> {
    const placed = this.tensors.get(tensor.name);
    if (placed === undefined) throw new CheckpointError(this.path, `tensor ${tensor.name} is not in this file.`);
    if (!(start >= 0 && length >= 0 && start + length <= placed.byteLength)) {
      throw new RangeError(`bytes ${start} to ${start + length} of a tensor of ${placed.byteLength} bytes`);
    }
    return this.#file.read(placed.offset + start, length);
  }

  positionOf(tensor: StoredTensor): number | undefined {
    return this.tensors.get(tensor.name)?.offset;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function readHeader(file: FileBytes): Promise<Map<string, PlacedTensor>> {
  const { path, size } = file;
  const instead = guessByHead(await file.read(0, Math.min(size, HEAD_BYTES)));
  if (instead !== undefined && size > 0) {
    throw refusal(path, 'not-a-checkpoint', `this is not a safetensors file: ${instead}.`);
  }
  if (size < 8) {
    throw refusal(path, 'truncated', `a safetensors file has at least 8 bytes, this one has ${size}.`);
  }
  const prefix = await file.read(0, 8);
  const declared = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(Math.min(MAX_HEADER_BYTES, size - 8))) {
    throw refusal(
      path,
      'safetensors-header',
      `the header claims ${declared} bytes, but the file has ${size}. It is damaged or not a safetensors file.`,
    );
  }
  const headerBytes = Number(declared);
  const header = parseHeader(path, await file.read(8, headerBytes));
  const tensors = new Map<string, PlacedTensor>();
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
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    requireSmallStructure(path, text);
    header = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    const message = 'the header is not valid JSON. The file is damaged or not a safetensors file.';
    throw new CheckpointError(path, message, { cause, fault: 'safetensors-header' });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw refusal(path, 'safetensors-header', 'the header is not a JSON object.');
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined)
    throw refusal(path, 'safetensors-header', `the header names tensor ${cut(repeated)} twice.`);
  return header as Record<string, unknown>;
}

/** Refuses text that would grow to gigabytes when it is parsed: 100 MB of brackets, say. It need not be valid JSON. */
function requireSmallStructure(path: string, text: string): void {
  let depth = 0;
  let tokens = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === '\\') at++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[' || character === ',') {
      tokens++;
      if (character !== ',') depth++;
      if (depth > MAX_HEADER_DEPTH || tokens > MAX_HEADER_TOKENS) {
        throw refusal(
          path,
          'safetensors-header',
          'the header is nested deeper, or has more parts, than that of any model. The file is damaged or not a safetensors file.',
        );
      }
    } else if (character === '}' || character === ']') depth--;
  }
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

function checkEntry(path: string, name: string, entry: unknown, dataStart: number, fileSize: number): PlacedTensor {
  const { dtype, shape, data_offsets: offsets } = Object(entry) as Record<string, unknown>;
  const tensor = `tensor ${cut(name)}`;
  if (!isDtype(dtype)) {
    throw refusal(
      path,
      typeof dtype === 'string' ? 'unsupported-dtype' : 'safetensors-header',
      `${tensor} has the type ${typeof dtype === 'string' ? quoted(dtype) : typeof dtype}, which is not supported.`,
    );
  }
  if (!isCountList(shape) || !isNumberPair(offsets)) {
    throw refusal(path, 'safetensors-header', `${tensor} has no valid shape and data_offsets.`);
  }
  const [begin, end] = offsets;
  const byteLength = shape.reduce((product, size) => product * size, dtypeBytes(dtype));
  const claim = `${tensor} of shape [${shape.join(', ')}] needs ${byteLength} bytes, but its data_offsets are [${begin}, ${end}] in ${fileSize - dataStart} bytes of data.`;
  if (!isCountList(offsets) || end < begin) throw refusal(path, 'safetensors-offsets', claim);
  if (dataStart + end > fileSize) {
    // Sound but for the end of the file, which is what an interrupted download looks like.
    const fault = end - begin === byteLength ? 'truncated' : 'safetensors-offsets';
    throw refusal(path, fault, `${claim} The file is damaged or incomplete; download it again.`);
  }
  if (end - begin !== byteLength) throw refusal(path, 'safetensors-size', claim);
  return { name, dtype, shape, file: path, offset: dataStart + begin, byteLength };
}

/** The tensors must fill the data from its first byte to the last, as the format demands: bytes that nobody owns could hold anything. */
function requireContiguous(path: string, tensors: PlacedTensor[], dataStart: number, fileSize: number): void {
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const { name, offset, byteLength } of tensors) {
    if (offset < end) {
      throw refusal(path, 'safetensors-offsets', `tensor ${cut(name)} overlaps with the tensor before it.`);
    }
    if (offset > end) {
      const message = `${offset - end} bytes before tensor ${cut(name)} belong to no tensor.`;
      throw refusal(path, 'safetensors-offsets', message);
    }
    end = offset + byteLength;
  }
  if (end !== fileSize) {
    const message = `${fileSize - end} bytes at the end of the file belong to no tensor.`;
    throw refusal(path, 'safetensors-offsets', message);
  }
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isNumberPair(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((item) => typeof item === 'number');
}

function refusal(path: string, fault: CheckpointFault, message: string): CheckpointError {
  return new CheckpointError(path, message, { fault });
}
