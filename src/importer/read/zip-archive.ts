/**
 * The table of contents of a zip file whose entries are stored as they are, as PyTorch writes it (spec 8.3): where the bytes of each entry lie.
 *
 * A tensor is read in place, by its position in the file, so nothing is unpacked. Other programs must see the same archive as we do: what
 * they could read differently (an entry twice, two tables, entries over one another) is refused. Format:
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
import { CheckpointError, type CheckpointFault } from '../../errors.ts';
import type { FileBytes } from './file-bytes.ts';
import { quoted } from './quoted.ts';

/** One file in the archive. */
export type ZipEntry = {
  name: string;
  /** Position of its first byte in the archive. */
  position: number;
  size: number;
};

export type ZipArchive = {
  /** The one folder that all entries lie in. */
  folder: string;
  /** Entries by their name below that folder. */
  entries: ReadonlyMap<string, ZipEntry>;
};

/** What the central directory says of an entry. */
type Listed = { name: string; header: number; size: number; flags: number };

const END_RECORD = 0x06054b50;
const END_RECORD_BYTES = 22;
const ZIP64_END_RECORD = 0x06064b50;
const ZIP64_END_RECORD_BYTES = 56;
const ZIP64_LOCATOR = 0x07064b50;
const ZIP64_LOCATOR_BYTES = 20;
const DIRECTORY_ENTRY = 0x02014b50;
const DIRECTORY_ENTRY_BYTES = 46;
const LOCAL_HEADER = 0x04034b50;
const LOCAL_HEADER_BYTES = 30;

/** A field of 16 or 32 bits that holds this says: the value is in the ZIP64 field. */
const IN_ZIP64_16 = 0xffff;
const IN_ZIP64_32 = 0xffffffff;

const FLAG_ENCRYPTED = 0x0001;
/** Sizes are not in the local header, but behind the data. */
const FLAG_SIZES_FOLLOW = 0x0008;
const FLAG_STRONG_ENCRYPTION = 0x0040;
const FLAG_MASKED_HEADERS = 0x2000;

/** Checkpoints have an entry per tensor, some thousands. */
const MAX_ENTRIES = 200_000;
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;

/** Whether a file that begins with these bytes is a zip file. */
export function looksLikeZip(head: Uint8Array): boolean {
  const [first, second, third] = head;
  return first === 0x50 && second === 0x4b && (third === 3 || third === 5);
}

/**
 * Reads and checks the table of contents.
 *
 * @throws CheckpointError when the archive is cut off, compressed, encrypted or ambiguous.
 */
export async function readZipArchive(file: FileBytes): Promise<ZipArchive> {
  const directory = await findDirectory(file);
  const listed = parseDirectory(file, directory, await file.read(directory.position, directory.bytes));
  const entries: ZipEntry[] = [];
  const spans: { name: string; begin: number; end: number }[] = [];
  for (const entry of listed) {
    const position = await checkLocalHeader(file, entry, directory.position);
    entries.push({ name: entry.name, position, size: entry.size });
    spans.push({ name: entry.name, begin: entry.header, end: position + entry.size });
  }
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const span of spans) {
    if (span.begin < end)
      throw refusal(file, 'ambiguous-archive', `entry ${quoted(span.name)} lies over the entry before it.`);
    end = span.end;
  }
  return inOneFolder(file, entries);
}

type Directory = { position: number; bytes: number; entries: number };

/**
 * Finds the end record, and through it the directory. A comment may stand behind the record and hold anything, so what counts is
 * that the numbers of the record meet: its comment ends with the file, and the directory ends where the record begins.
 */
async function findDirectory(file: FileBytes): Promise<Directory> {
  const tailStart = Math.max(0, file.size - END_RECORD_BYTES - 0xffff - ZIP64_LOCATOR_BYTES);
  const bytes = await file.read(tailStart, file.size - tailStart);
  const tail = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Directory[] = [];
  for (let at = tail.byteLength - END_RECORD_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END_RECORD) continue;
    if (at + END_RECORD_BYTES + tail.getUint16(at + 20, true) !== tail.byteLength) continue;
    const directory = await directoryOf(file, tail, at, tailStart + at);
    if (directory !== undefined) found.push(directory);
  }
  const [directory] = found;
  if (directory === undefined) {
    throw refusal(
      file,
      'truncated',
      'this zip file has no table of contents at its end. It is probably incomplete; download it again.',
    );
  }
  if (found.length > 1) throw refusal(file, 'ambiguous-archive', 'this zip file has two tables of contents.');
  if (directory.entries > MAX_ENTRIES || directory.bytes > MAX_DIRECTORY_BYTES) {
    throw refusal(
      file,
      'too-large',
      `this zip file has ${directory.entries} entries; at most ${MAX_ENTRIES} are expected.`,
    );
  }
  return directory;
}

/** The directory that the end record at byte `at` of the tail speaks of, or undefined when it is none. */
async function directoryOf(
  file: FileBytes,
  tail: DataView,
  at: number,
  position: number,
): Promise<Directory | undefined> {
  const disks = [tail.getUint16(at + 4, true), tail.getUint16(at + 6, true)];
  const entriesHere = tail.getUint16(at + 8, true);
  const entries = tail.getUint16(at + 10, true);
  const bytes = tail.getUint32(at + 12, true);
  const start = tail.getUint32(at + 16, true);
  if (disks.every((disk) => disk === 0) && entriesHere === entries && start + bytes === position) {
    return { position: start, bytes, entries };
  }
  const locator = at - ZIP64_LOCATOR_BYTES;
  if (locator < 0 || tail.getUint32(locator, true) !== ZIP64_LOCATOR) return undefined;
  const recordAt = readUint64(tail, locator + 8);
  // The record ends where its locator begins.
  if (recordAt !== position - ZIP64_LOCATOR_BYTES - ZIP64_END_RECORD_BYTES) return undefined;
  const recordBytes = await file.read(recordAt, ZIP64_END_RECORD_BYTES);
  const record = new DataView(recordBytes.buffer, recordBytes.byteOffset);
  if (record.getUint32(0, true) !== ZIP64_END_RECORD || readUint64(record, 4) !== ZIP64_END_RECORD_BYTES - 12) {
    return undefined;
  }
  const long = {
    entriesHere: readUint64(record, 24),
    entries: readUint64(record, 32),
    bytes: readUint64(record, 40),
    position: readUint64(record, 48),
  };
  const agrees =
    record.getUint32(16, true) === 0 &&
    record.getUint32(20, true) === 0 &&
    disks.every((disk) => disk === 0 || disk === IN_ZIP64_16) &&
    long.entriesHere === long.entries &&
    (entriesHere === long.entries || entriesHere === IN_ZIP64_16) &&
    (entries === long.entries || entries === IN_ZIP64_16) &&
    (bytes === long.bytes || bytes === IN_ZIP64_32) &&
    (start === long.position || start === IN_ZIP64_32) &&
    long.position + long.bytes === recordAt;
  return agrees ? { position: long.position, bytes: long.bytes, entries: long.entries } : undefined;
}

function parseDirectory(file: FileBytes, directory: Directory, bytes: Uint8Array): Listed[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names = new Set<string>();
  const listed: Listed[] = [];
  const damaged = (): CheckpointError =>
    refusal(file, 'ambiguous-archive', 'the table of contents of this zip file is damaged. Download the file again.');
  let at = 0;
  while (at < bytes.byteLength) {
    if (at + DIRECTORY_ENTRY_BYTES > bytes.byteLength || view.getUint32(at, true) !== DIRECTORY_ENTRY) throw damaged();
    const nameEnd = at + DIRECTORY_ENTRY_BYTES + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const end = extraEnd + view.getUint16(at + 32, true);
    if (end > bytes.byteLength) throw damaged();
    const name = entryName(bytes.subarray(at + DIRECTORY_ENTRY_BYTES, nameEnd));
    if (name === undefined) throw damaged();
    if (names.has(name)) {
      throw refusal(
        file,
        'ambiguous-archive',
        `entry ${quoted(name)} stands twice in this zip file: other programs may read the other one.`,
      );
    }
    names.add(name);
    const flags = view.getUint16(at + 8, true);
    requireStored(file, name, flags, view.getUint16(at + 10, true));
    const fields = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
    const long = zip64Fields(new DataView(view.buffer, view.byteOffset + nameEnd, extraEnd - nameEnd), fields);
    const disk = view.getUint16(at + 34, true);
    if (long === undefined || (disk !== 0 && disk !== IN_ZIP64_16)) throw damaged();
    const [size, compressedSize, header] = long as [number, number, number];
    if (size !== compressedSize) throw damaged();
    listed.push({ name, header, size, flags });
    at = end;
  }
  if (listed.length !== directory.entries) throw damaged();
  return listed;
}

/** Refuses what could not be read in place. */
function requireStored(file: FileBytes, name: string, flags: number, method: number): void {
  if (flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED_HEADERS)) {
    throw refusal(file, 'encrypted', `entry ${quoted(name)} of this zip file is encrypted.`);
  }
  if (method !== 0) {
    throw refusal(
      file,
      'unsupported-compression',
      `entry ${quoted(name)} of this zip file is compressed, as PyTorch never writes it. Save the checkpoint again with torch.save.`,
    );
  }
}

/**
 * Puts the ZIP64 field's values in the place of those of `fields` that refer to it, in their order.
 * Undefined where the field is needed and missing, or a value is beyond 2^53.
 */
function zip64Fields(extra: DataView, fields: readonly number[]): number[] | undefined {
  if (!fields.includes(IN_ZIP64_32)) return [...fields];
  let at = 0;
  while (at + 4 <= extra.byteLength) {
    const tag = extra.getUint16(at, true);
    const end = at + 4 + extra.getUint16(at + 2, true);
    if (end > extra.byteLength) return undefined;
    if (tag === 1) {
      at += 4;
      const values: number[] = [];
      for (const field of fields) {
        if (field !== IN_ZIP64_32) {
          values.push(field);
          continue;
        }
        if (at + 8 > end) return undefined;
        values.push(readUint64(extra, at));
        at += 8;
      }
      return values.every((value) => Number.isSafeInteger(value)) ? values : undefined;
    }
    at = end;
  }
  return undefined;
}

/** Checks the header in front of an entry's data against the directory. @returns where the data begins. */
async function checkLocalHeader(file: FileBytes, entry: Listed, directoryStart: number): Promise<number> {
  const differs = (): CheckpointError =>
    refusal(
      file,
      'truncated',
      `the zip entry ${quoted(entry.name)} does not lie where the table of contents says. The file is damaged; download it again.`,
    );
  const nameBytes = Buffer.byteLength(entry.name);
  if (entry.header + LOCAL_HEADER_BYTES + nameBytes > directoryStart) throw differs();
  const bytes = await file.read(entry.header, LOCAL_HEADER_BYTES + nameBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(0, true) !== LOCAL_HEADER) throw differs();
  if (view.getUint16(26, true) !== nameBytes || entryName(bytes.subarray(LOCAL_HEADER_BYTES)) !== entry.name)
    throw differs();
  const flags = view.getUint16(6, true);
  requireStored(file, entry.name, flags, view.getUint16(8, true));
  const sizes = [view.getUint32(18, true), view.getUint32(22, true)];
  const sizesFollow = (flags & FLAG_SIZES_FOLLOW) !== 0 && (entry.flags & FLAG_SIZES_FOLLOW) !== 0;
  if (!sizesFollow && sizes.some((size) => size !== entry.size && size !== IN_ZIP64_32)) throw differs();
  const position = entry.header + LOCAL_HEADER_BYTES + nameBytes + view.getUint16(28, true);
  if (position + entry.size > directoryStart) throw differs();
  return position;
}

/** The entries by their names below the folder that holds them all. */
function inOneFolder(file: FileBytes, entries: readonly ZipEntry[]): ZipArchive {
  const folders = new Set(entries.map(({ name }) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : '')));
  if (folders.size > 1) {
    const list = [...folders].slice(0, 4).map(quoted).join(', ');
    throw refusal(
      file,
      'ambiguous-archive',
      `this zip file has several top folders (${list}), where a checkpoint has one.`,
    );
  }
  const [folder = ''] = folders;
  return { folder, entries: new Map(entries.map((entry) => [entry.name.slice(folder.length + 1), entry])) };
}

function entryName(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Infinity for what lies beyond 2^53, which no position in a file does. */
function readUint64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Infinity;
}

function refusal(file: FileBytes, fault: CheckpointFault, message: string): CheckpointError {
  return new CheckpointError(file.path, message, { fault });
}
