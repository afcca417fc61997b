/**
 * The directories of a TIFF or BigTIFF file: one per page, and those that hang below a page.
 *
 * Only what tells how samples are stored is read; libtiff decodes. Offsets are untrusted: what lies behind the end of the file is missing, and
 * directories that lead back to one another are read once. See the TIFF 6.0 specification and https://libtiff.gitlab.io/libtiff/specification/bigtiff.html.
 */

export const TAG = {
  newSubfileType: 254,
  subfileType: 255,
  imageWidth: 256,
  imageLength: 257,
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  make: 271,
  stripOffsets: 273,
  samplesPerPixel: 277,
  stripByteCounts: 279,
  tileOffsets: 324,
  tileByteCounts: 325,
  subIfds: 330,
  extraSamples: 338,
  sampleFormat: 339,
  iccProfile: 34675,
  gdalNoData: 42113,
  dngVersion: 50706,
} as const;

/** Where the values of a tag lie. */
export type TiffEntry = { type: number; count: number; offset: number };

export type TiffDirectory = {
  entries: ReadonlyMap<number, TiffEntry>;
  /** The directories below this one, as far as they lie within the bytes. */
  below: readonly TiffDirectory[];
};

export type TiffFile = {
  view: DataView;
  littleEndian: boolean;
  big: boolean;
  /** In the order of the file. Empty where the first lies behind the end. */
  pages: readonly TiffDirectory[];
};

/** More than any picture has; a file may be made of nothing but empty directories. */
const MAX_PAGES = 10_000;
const MAX_BELOW = 64;
/** A directory of more entries than this is none. */
const MAX_ENTRIES = 4096;

/** Bytes per value of each field type, by its number. */
const TYPE_BYTES: Readonly<Record<number, number>> = {
  1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8,
}; // prettier-ignore

/** Reads the directories, or gives undefined for what is no TIFF file. */
export function readTiff(bytes: Uint8Array): TiffFile | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < 8) return undefined;
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return undefined;
  const littleEndian = order === 0x4949;
  const version = view.getUint16(2, littleEndian);
  if (version !== 42 && version !== 43) return undefined;
  const big = version === 43;
  const reader = new DirectoryReader(view, littleEndian, big);
  const first = big ? reader.offset(8) : reader.offset(4);
  return { view, littleEndian, big, pages: first === undefined ? [] : reader.chain(first) };
}

/** The whole numbers of a tag, at most `most` of them; undefined where the directory lacks it or they lie behind the end. */
export function numbersOf(
  { view, littleEndian }: TiffFile,
  { entries }: TiffDirectory,
  tag: number,
  most = Number.POSITIVE_INFINITY,
): number[] | undefined {
  const entry = entries.get(tag);
  if (entry === undefined) return undefined;
  const width = TYPE_BYTES[entry.type];
  const count = Math.min(entry.count, most);
  if (width === undefined || entry.offset + count * width > view.byteLength) return undefined;
  return Array.from({ length: count }, (_, index) => wholeNumber(view, entry, width, index, littleEndian));
}

/** The first number of a tag. */
export function numberOf(file: TiffFile, directory: TiffDirectory, tag: number): number | undefined {
  return numbersOf(file, directory, tag, 1)?.[0];
}

/** The text of a tag, without the zero at its end. */
export function textOf({ view }: TiffFile, { entries }: TiffDirectory, tag: number): string | undefined {
  const entry = entries.get(tag);
  if (entry === undefined || entry.offset + entry.count > view.byteLength) return undefined;
  const bytes = new Uint8Array(view.buffer, view.byteOffset + entry.offset, Math.min(entry.count, 256));
  return new TextDecoder('latin1')
    .decode(bytes)
    .replace(/\0[^]*$/, '')
    .trim();
}

/** Bytes that the values of an entry take. */
export function entryBytes({ type, count }: TiffEntry): number {
  return count * (TYPE_BYTES[type] ?? 1);
}

function wholeNumber(
  view: DataView,
  { offset, type }: TiffEntry,
  width: number,
  index: number,
  little: boolean,
): number {
  const at = offset + index * width;
  const SIGNED_BYTE = 6;
  const SIGNED_SHORT = 8;
  const SIGNED_LONG = 9;
  if (type === SIGNED_BYTE) return view.getInt8(at);
  if (type === SIGNED_SHORT) return view.getInt16(at, little);
  if (type === SIGNED_LONG) return view.getInt32(at, little);
  if (width === 1) return view.getUint8(at);
  if (width === 2) return view.getUint16(at, little);
  return width === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little));
}

class DirectoryReader {
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #big: boolean;
  readonly #seen = new Set<number>();

  constructor(view: DataView, little: boolean, big: boolean) {
    this.#view = view;
    this.#little = little;
    this.#big = big;
  }

  /** The place that a pointer at `at` names, where both lie within the file. */
  offset(at: number): number | undefined {
    if (at + (this.#big ? 8 : 4) > this.#view.byteLength) return undefined;
    const offset = this.#big
      ? Number(this.#view.getBigUint64(at, this.#little))
      : this.#view.getUint32(at, this.#little);
    return offset === 0 || offset >= this.#view.byteLength ? undefined : offset;
  }

  /** The directories that follow one another from `start`. */
  chain(start: number): TiffDirectory[] {
    const pages: TiffDirectory[] = [];
    for (let at: number | undefined = start; at !== undefined && pages.length < MAX_PAGES;) {
      const read = this.#directory(at, true);
      if (read === undefined) break;
      pages.push(read.directory);
      at = read.next;
    }
    return pages;
  }

  #directory(start: number, withBelow: boolean): { directory: TiffDirectory; next: number | undefined } | undefined {
    const view = this.#view;
    const [countBytes, entryLength] = this.#big ? [8, 20] : [2, 12];
    if (this.#seen.has(start) || start + countBytes > view.byteLength) return undefined;
    this.#seen.add(start);
    const count = this.#big ? Number(view.getBigUint64(start, this.#little)) : view.getUint16(start, this.#little);
    const end = start + countBytes + count * entryLength;
    if (count > MAX_ENTRIES || end > view.byteLength) return undefined;
    const entries = new Map<number, TiffEntry>();
    for (let at = start + countBytes; at < end; at += entryLength) {
      const entry = this.#entry(at);
      if (entry !== undefined) entries.set(view.getUint16(at, this.#little), entry);
    }
    const below = withBelow ? this.#below(entries) : [];
    return { directory: { entries, below }, next: this.offset(end) };
  }

  #entry(at: number): TiffEntry | undefined {
    const view = this.#view;
    const type = view.getUint16(at + 2, this.#little);
    const count = this.#big ? Number(view.getBigUint64(at + 4, this.#little)) : view.getUint32(at + 4, this.#little);
    const place = at + (this.#big ? 12 : 8);
    const inside = count * (TYPE_BYTES[type] ?? 1) <= (this.#big ? 8 : 4);
    // A place behind the end stays known as such: its values are missing, the tag is not.
    const offset = inside ? place : (this.offset(place) ?? view.byteLength);
    return { type, count, offset };
  }

  #below(entries: ReadonlyMap<number, TiffEntry>): TiffDirectory[] {
    const entry = entries.get(TAG.subIfds);
    if (entry === undefined) return [];
    const width = TYPE_BYTES[entry.type] === 8 ? 8 : 4;
    const directories: TiffDirectory[] = [];
    for (let index = 0; index < Math.min(entry.count, MAX_BELOW); index++) {
      const at = entry.offset + index * width;
      if (at + width > this.#view.byteLength) break;
      const start =
        width === 8 ? Number(this.#view.getBigUint64(at, this.#little)) : this.#view.getUint32(at, this.#little);
      const read = start < this.#view.byteLength ? this.#directory(start, false) : undefined;
      if (read !== undefined) directories.push(read.directory);
    }
    return directories;
  }
}
