/**
 * Camera raws in the container of a TIFF file: DNG, and what most makers write. What libtiff makes of them is a preview of a few pixels, or grey
 * sensor data with a pattern on it.
 */
import { KIND, type ImageKind } from './kinds.ts';
import { numberOf, readTiff, TAG, textOf, type TiffDirectory, type TiffFile } from './tiff-directory.ts';

/** Values behind a colour filter, and those before white balance (TIFF/EP, DNG 1.7). */
const CFA = 32_803;
const LINEAR_RAW = 34_892;
/** Of Sony, Nikon, Pentax, Samsung and Kodak. No other program writes them. */
const RAW_COMPRESSIONS = new Set([32_767, 34_713, 65_535, 32_769, 32_770, 32_772, 65_000]);

const MAKERS: readonly (readonly [RegExp, ImageKind])[] = [
  [/^canon/i, KIND.canonRaw],
  [/^nikon/i, KIND.nikonRaw],
  [/^sony/i, KIND.sonyRaw],
  [/^fuji/i, KIND.fujifilmRaw],
  [/^(?:olympus|om digital)/i, KIND.olympusRaw],
  [/^panasonic|^leica/i, KIND.panasonicRaw],
  [/^(?:pentax|ricoh|asahi)/i, KIND.pentaxRaw],
  [/^samsung/i, KIND.samsungRaw],
  [/^hasselblad/i, KIND.hasselbladRaw],
  [/^phase ?one|^leaf/i, KIND.phaseOneRaw],
  [/^(?:eastman )?kodak/i, KIND.kodakRaw],
];

/** The kind of a file with the signature of a TIFF: `TIFF`, or the camera raw that it is. */
export function tiffKind(bytes: Uint8Array): ImageKind {
  // Canon's second raw format has a mark of its own behind the header.
  if (bytes[8] === 0x43 && bytes[9] === 0x52 && bytes[4] === 0x10) return KIND.canonRaw;
  const file = readTiff(bytes);
  if (file === undefined) return KIND.tiff;
  const directories = file.pages.flatMap((page) => [page, ...page.below]);
  if (directories.some(({ entries }) => entries.has(TAG.dngVersion))) return KIND.dng;
  if (!directories.some((directory) => isRaw(file, directory))) return KIND.tiff;
  const [first] = file.pages;
  const make = first === undefined ? undefined : textOf(file, first, TAG.make);
  return MAKERS.find(([pattern]) => pattern.test(make ?? ''))?.[1] ?? KIND.cameraRaw;
}

function isRaw(file: TiffFile, directory: TiffDirectory): boolean {
  const photometric = numberOf(file, directory, TAG.photometric);
  if (photometric === CFA || photometric === LINEAR_RAW) return true;
  const compression = numberOf(file, directory, TAG.compression);
  return compression !== undefined && RAW_COMPRESSIONS.has(compression);
}
