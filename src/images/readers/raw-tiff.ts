/**
 * Samples of our own readers as an uncompressed TIFF in memory: the way in which libvips takes a profile, 16 bits and alpha along with raw
 * samples, so that one path converts, turns and reduces all pictures.
 */

export type RawPicture = {
  width: number;
  height: number;
  /** 1 is grey, 3 is RGB; with one more, alpha. */
  channels: 1 | 2 | 3 | 4;
  bits: 8 | 16;
  premultiplied?: boolean;
  icc?: Uint8Array | undefined;
  /** Exif orientation, 1 to 8. */
  orientation?: number;
};

const SHORT = 3;
const LONG = 4;
const UNDEFINED = 7;
/** libtiff reads a strip at a time. */
const STRIP_BYTES = 2 ** 20;

/**
 * Lays out a little-endian TIFF.
 *
 * @returns the file, and the part of it to fill with samples, row by row from the top, 16 bits little-endian
 */
export function rawTiff(picture: RawPicture): { file: Buffer; samples: Uint8Array } {
  const { width, height, channels, bits, premultiplied = false, icc, orientation = 1 } = picture;
  const rowBytes = width * channels * (bits / 8);
  const rows = Math.min(Math.max(Math.floor(STRIP_BYTES / Math.max(rowBytes, 1)), 1), height);
  const strips = Math.ceil(height / rows);
  const hasAlpha = channels % 2 === 0;
  const begins = Array.from({ length: strips }, (_, strip) => strip * rows * rowBytes);
  const lengths = begins.map((begin) => Math.min(rows * rowBytes, height * rowBytes - begin));

  const fields: [tag: number, type: number, values: readonly number[] | Uint8Array][] = [
    [256, LONG, [width]],
    [257, LONG, [height]],
    [258, SHORT, Array.from({ length: channels }, () => bits)],
    [259, SHORT, [1]],
    [262, SHORT, [channels > 2 ? 2 : 1]],
    [273, LONG, begins],
    [274, SHORT, [orientation]],
    [277, SHORT, [channels]],
    [278, LONG, [rows]],
    [279, LONG, lengths],
    [284, SHORT, [1]],
    ...(hasAlpha ? [[338, SHORT, [premultiplied ? 1 : 2]] as [number, number, number[]]] : []),
    ...(icc === undefined ? [] : [[34_675, UNDEFINED, icc] as [number, number, Uint8Array]]),
  ];
  const directoryBytes = 8 + 2 + fields.length * 12 + 4;
  const outside = fields.reduce((sum, [, type, values]) => sum + outsideBytes(type, values), 0);
  const samplesAt = directoryBytes + outside + ((directoryBytes + outside) % 2);
  const file = Buffer.alloc(samplesAt + height * rowBytes);
  file.write('II*\0', 'latin1');
  file.writeUInt32LE(8, 4);
  file.writeUInt16LE(fields.length, 8);
  let free = directoryBytes;
  for (const [index, [tag, type, values]] of fields.entries()) {
    const at = 10 + index * 12;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(values.length, at + 4);
    const bytes = outsideBytes(type, values);
    const place = bytes === 0 ? at + 8 : free;
    if (bytes > 0) file.writeUInt32LE(place, at + 8);
    free += bytes;
    const base = tag === 273 ? samplesAt : 0;
    values.forEach((value, number) => {
      if (type === SHORT) file.writeUInt16LE(value, place + number * 2);
      else if (type === LONG) file.writeUInt32LE(value + base, place + number * 4);
      else file[place + number] = value;
    });
  }
  return { file, samples: new Uint8Array(file.buffer, file.byteOffset + samplesAt, height * rowBytes) };
}

/** Values of more than four bytes lie outside of the directory, at even places. */
function outsideBytes(type: number, values: ArrayLike<number>): number {
  const bytes = values.length * (type === SHORT ? 2 : type === LONG ? 4 : 1);
  return bytes <= 4 ? 0 : bytes + (bytes % 2);
}
