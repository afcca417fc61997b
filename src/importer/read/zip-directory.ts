/**
 * Finds the table of contents of a zip file: the end record behind it says where it lies, in 32 or in 64 bits.
 * Format: sections 4.3.14 to 4.3.16 of https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
import type { FileBytes } from './file-bytes.ts';

const END_RECORD = 0x06054b50;
const END_RECORD_BYTES = 22;
const ZIP64_END_RECORD = 0x06064b50;
const ZIP64_END_RECORD_BYTES = 56;
const ZIP64_LOCATOR = 0x07064b50;
const ZIP64_LOCATOR_BYTES = 20;

/** A field of 16 or 32 bits that holds this says: the value is in the ZIP64 field. */
export const IN_ZIP64_16 = 0xffff;
export const IN_ZIP64_32 = 0xffffffff;

/** Checkpoints have an entry per tensor, some thousands. */
const MAX_ENTRIES = 200_000;
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;

/** Where the table of contents lies, and how many entries it has. */
export type Directory = { position: number; bytes: number; entries: number };

/**
 * Finds the end record, and through it the directory. A comment may stand behind the record and hold anything, so what counts is
 * that the numbers of the record meet: its comment ends with the file, and the directory ends where the record begins.
 *
 * @throws CheckpointError when there is none, or are two, or its size is beyond reason.
 */
export async function findDirectory(file: FileBytes): Promise<Directory> {
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
    throw file.refusal(
      'truncated',
      'this zip file has no table of contents at its end. It is probably incomplete; download it again.',
    );
  }
  if (found.length > 1) throw file.refusal('ambiguous-archive', 'this zip file has two tables of contents.');
  if (directory.entries > MAX_ENTRIES || directory.bytes > MAX_DIRECTORY_BYTES) {
    throw file.refusal(
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

/** A 64-bit number; Infinity for what lies beyond 2^53, which no position in a file does. */
export function readUint64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Infinity;
}
