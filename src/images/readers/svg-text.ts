/**
 * An SVG as librsvg reads it: unpacked, in UTF-8, with a beginning that libvips recognises; and the pictures inside it, which take more memory
 * than the drawing says.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { sharp } from '../load-sharp.ts';
import { ImageError } from '../../errors.ts';
import { formatCount } from '../format-count.ts';
import { isGzip } from '../kinds/kind-of-bytes.ts';
import { textEncoding } from '../kinds/text-head.ts';

/** Of markup; a packed SVG may not become more either. */
const MAX_BYTES = 2 ** 27;

/** libvips looks for the tag in the first thousand bytes, where a long comment or document type may stand. */
const SEEN_BY_LIBVIPS = 900;
const MARK = '<!--<svg-->';

/** The text in UTF-8. @throws ImageError where a packed one is damaged, or becomes too large */
export async function svgText(bytes: Buffer): Promise<Buffer> {
  const text = isGzip(bytes) ? await unpack(bytes) : bytes;
  if (text.length > MAX_BYTES) throw tooLong('');
  const plain = inUtf8(text);
  const head = plain.subarray(0, SEEN_BY_LIBVIPS).toString('latin1');
  if (/<svg[\s>]/i.test(head)) return plain;
  // Nothing may stand before the declaration.
  const behind = /^(?:ï»¿)?\s*<\?xml[^]*?\?>/.exec(head)?.[0].length ?? 0;
  return Buffer.concat([plain.subarray(0, behind), Buffer.from(MARK), plain.subarray(behind)]);
}

async function unpack(bytes: Buffer): Promise<Buffer> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: MAX_BYTES });
  } catch (cause) {
    if (cause instanceof RangeError) throw tooLong(' when it is unpacked');
    const message = 'the SVG is packed with gzip, and cannot be unpacked; the file is probably truncated or damaged.';
    throw new ImageError('unreadable-image', message, { cause });
  }
}

function tooLong(when: string): ImageError {
  const message = `the SVG has more than ${formatCount(MAX_BYTES)} bytes${when}. Export it as PNG, or make it simpler.`;
  return new ImageError('image-too-large', message);
}

/** Of the encodings that XML may declare, libvips recognises none but UTF-8. One that nobody knows is left to librsvg to complain of. */
function inUtf8(text: Buffer): Buffer {
  const byBytes = textEncoding(text);
  const declared =
    byBytes === 'utf-8' ? DECLARED_ENCODING.exec(text.subarray(0, 200).toString('latin1'))?.[2] : byBytes;
  if (declared === undefined || /^utf-?8$/i.test(declared)) return text;
  try {
    return Buffer.from(new TextDecoder(declared).decode(text).replace(DECLARED_ENCODING, '$1'));
  } catch {
    return text;
  }
}

const DECLARED_ENCODING = /^(\s*<\?xml[^>]*?)\s+encoding\s*=\s*["']([\w.:-]+)["']/i;

/** Pictures inside pictures are looked at so deep. */
const MAX_DEPTH = 4;
/** More pictures than this in one drawing are refused rather than looked at. */
const MAX_PICTURES = 10_000;

/**
 * The pixels of all pictures that an SVG holds as data, whatever size they are shown at. One that stands there twice counts once, as it is
 * decoded once.
 */
export async function embeddedPixels(svg: Buffer, depth = 0): Promise<number> {
  let pixels = 0;
  for (const uri of embeddedUris(svg)) {
    const bytes = dataOf(uri);
    if (bytes === undefined) continue;
    pixels += /^data:image\/svg/i.test(uri) ? await nestedPixels(bytes, depth) : await pixelsOf(bytes);
  }
  return pixels;
}

async function nestedPixels(bytes: Buffer, depth: number): Promise<number> {
  return depth >= MAX_DEPTH ? Number.POSITIVE_INFINITY : embeddedPixels(bytes, depth + 1);
}

function embeddedUris(svg: Buffer): Set<string> {
  const uris = new Set<string>();
  for (const [uri] of svg.toString('latin1').matchAll(/data:image\/[^"'<>]*/gi)) {
    uris.add(uri);
    if (uris.size > MAX_PICTURES) {
      throw new ImageError('image-too-large', `the SVG holds more than ${formatCount(MAX_PICTURES)} pictures.`);
    }
  }
  return uris;
}

/** What follows the comma, in base64 or with percent signs. */
function dataOf(uri: string): Buffer | undefined {
  const comma = uri.indexOf(',');
  if (comma < 0) return undefined;
  const data = uri.slice(comma + 1);
  if (/;\s*base64\s*$/i.test(uri.slice(0, comma))) return Buffer.from(data.replaceAll(/&#\w+;|%\w\w/g, ''), 'base64');
  return Buffer.from(
    data.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

/** What libvips cannot read, librsvg cannot either. */
async function pixelsOf(bytes: Buffer): Promise<number> {
  if (bytes.length === 0) return 0;
  try {
    const { width, height } = await sharp(bytes, { limitInputPixels: false, failOn: 'none' }).metadata();
    return width * height;
  } catch {
    return 0;
  }
}
