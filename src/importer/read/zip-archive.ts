/**
 * The table of contents of a zip file whose entries are stored as they are, as PyTorch writes it: where the bytes of each entry lie.
 *
 * A tensor is read in place, by its position in the file, so nothing is unpacked. Other programs must see the same archive as we do: what
 * they could read differently (an entry twice, two tables, entries over one another) is refused. Format:
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
import type { CheckpointError } from '../../errors.ts';
import type { FileBytes } from './file-bytes.ts';
import { quoted } from './quoted.ts';
import { findDirectory, IN_ZIP64_16, IN_ZIP64_32, readUint64, type Directory } from './zip-directory.ts';

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

const DIRECTORY_ENTRY = 0x02014b50;
const DIRECTORY_ENTRY_BYTES = 46;
const LOCAL_HEADER = 0x04034b50;
const LOCAL_HEADER_BYTES = 30;

const FLAG_ENCRYPTED = 0x0001;
/** Sizes are not in the local header, but behind the data. */
const FLAG_SIZES_FOLLOW = 0x0008;
const FLAG_STRONG_ENCRYPTION = 0x0040;
const FLAG_MASKED_HEADERS = 0x2000;

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
      throw file.refusal('ambiguous-archive', `entry ${quoted(span.name)} overlaps with the entry before it.`);
    end = span.end;
  }
  return inOneFolder(file, entries);
}

function parseDirectory(file: FileBytes, directory: Directory, bytes: Uint8Array): Listed[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names = new Set<string>();
  const listed: Listed[] = [];
  const damaged = (): CheckpointError =>
    file.refusal('ambiguous-archive', 'the table of contents of this zip file is damaged. Download the file again.');
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
      throw file.refusal(
        'ambiguous-archive',
        `entry ${quoted(name)} is in this zip file twice: other programs may read the other one.`,
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
    throw file.refusal('encrypted', `entry ${quoted(name)} of this zip file is encrypted.`);
  }
  if (method !== 0) {
    throw file.refusal(
      'unsupported-compression',
      `entry ${quoted(name)} of this zip file is compressed, which PyTorch never does. Save the checkpoint again with torch.save.`,
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
    file.refusal(
      'truncated',
      `the zip entry ${quoted(entry.name)} is not where the table of contents says. The file is damaged; download it again.`,
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
    throw file.refusal(
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
