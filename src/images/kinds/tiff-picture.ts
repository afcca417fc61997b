/**
 * Which of the pictures in a TIFF file is meant, and how its samples are stored.
 *
 * The first page is meant, unless it is a small copy of a larger one: cameras, scanners and viewers put a thumbnail first, marked as such or not.
 */
import { entryBytes, numberOf, numbersOf, TAG, textOf, type TiffDirectory, type TiffFile } from './tiff-directory.ts';

/** Photometric interpretations that need arithmetic here. */
export const PHOTOMETRIC = { separated: 5, cieLab: 8, iccLab: 9 } as const;

export type SampleFormat = 'unsigned' | 'signed' | 'float' | 'complex';

/** What a sample beyond those of the colour is (`ExtraSamples`): 1 and 2 are alpha, which libtiff gives unmultiplied either way. */
export type ExtraSample = 'other' | 'alpha';

export type TiffPicture = {
  directory: TiffDirectory;
  /** For libvips: the number of the page, and of the directory below it, or -1. */
  page: number;
  subifd: number;
  /** Of each sample; those of a picture with different ones are refused. */
  bits: number;
  samples: number;
  compression: number;
  photometric: number | undefined;
  sampleFormat: SampleFormat;
  extraSamples: readonly ExtraSample[];
  /** The value that stands for no value in measured data (GDAL). */
  noData: number | undefined;
  /** Of the largest field of any directory: layers of Photoshop, mostly. */
  largestFieldBytes: number;
};

type Candidate = {
  directory: TiffDirectory;
  page: number;
  subifd: number;
  width: number;
  height: number;
  isCopy: boolean;
};

/** The picture that is meant, or undefined where no directory lies within the file. */
export function tiffPicture(file: TiffFile): TiffPicture | undefined {
  const candidates = file.pages.flatMap((directory, page) => [
    candidate(file, directory, page, -1),
    ...directory.below.map((below, index) => candidate(file, below, page, index)),
  ]);
  const [first] = candidates;
  if (first === undefined) return undefined;
  const { directory, page, subifd } = meant(first, candidates);
  // A pixel is one sample unless the tag says more; what more than its 16 bits can say is damage.
  const samples = Math.min(numberOf(file, directory, TAG.samplesPerPixel) ?? 1, 0xffff);
  const formats = numbersOf(file, directory, TAG.sampleFormat, 1);
  const photometric = numberOf(file, directory, TAG.photometric);
  const noData = textOf(file, directory, TAG.gdalNoData);
  return {
    directory,
    page,
    subifd,
    bits: numberOf(file, directory, TAG.bitsPerSample) ?? 1,
    samples,
    compression: numberOf(file, directory, TAG.compression) ?? 1,
    photometric,
    sampleFormat: sampleFormat(formats?.[0]),
    extraSamples: extraSamples(file, directory, samples, photometric),
    noData: noData === undefined || noData === '' ? undefined : Number(noData),
    largestFieldBytes: Math.max(0, ...Array.from(directory.entries.values(), entryBytes)),
  };
}

function candidate(file: TiffFile, directory: TiffDirectory, page: number, subifd: number): Candidate {
  const REDUCED = 1;
  const MASK = 4;
  const OLD_REDUCED = 2;
  const flags = numberOf(file, directory, TAG.newSubfileType) ?? 0;
  const isCopy = (flags & (REDUCED | MASK)) !== 0 || numberOf(file, directory, TAG.subfileType) === OLD_REDUCED;
  const width = numberOf(file, directory, TAG.imageWidth) ?? 0;
  const height = numberOf(file, directory, TAG.imageLength) ?? 0;
  return { directory, page, subifd, width, height, isCopy };
}

/** The first page; where that is a copy, or a picture of the same shape is at least twice as wide, the largest of those. */
function meant(first: Candidate, candidates: readonly Candidate[]): Candidate {
  const larger = candidates.filter(
    (other) =>
      !other.isCopy &&
      other.width * other.height > first.width * first.height &&
      (first.isCopy || isSmallCopy(first, other)),
  );
  return larger.toSorted((a, b) => b.width * b.height - a.width * a.height)[0] ?? first;
}

function isSmallCopy(small: Candidate, large: Candidate): boolean {
  if (large.width < 2 * small.width || large.height < 2 * small.height) return false;
  // Sides are rounded to whole pixels, which counts in a thumbnail.
  const height = (small.width * large.height) / large.width;
  const width = (small.height * large.width) / large.height;
  return Math.abs(height - small.height) <= 1 || Math.abs(width - small.width) <= 1;
}

function sampleFormat(number: number | undefined): SampleFormat {
  const FORMATS: Readonly<Record<number, SampleFormat>> = { 2: 'signed', 3: 'float', 5: 'complex', 6: 'complex' };
  return FORMATS[number ?? 1] ?? 'unsigned';
}

/** Samples that the tag does not speak of are alpha where there is one, as most programs that leave it out mean it. */
function extraSamples(
  file: TiffFile,
  directory: TiffDirectory,
  samples: number,
  photometric: number | undefined,
): ExtraSample[] {
  const stated = numbersOf(file, directory, TAG.extraSamples, samples);
  const extra = Math.max(samples - colourSamples(photometric), 0);
  if (stated === undefined) return extra === 1 ? ['alpha'] : Array.from({ length: extra }, () => 'other' as const);
  const UNSPECIFIED = 0;
  const kinds = stated.map((number): ExtraSample => (number === UNSPECIFIED ? 'other' : 'alpha'));
  return Array.from({ length: extra }, (_, index) => kinds[index] ?? 'other');
}

/** How many samples the colour of a pixel takes. */
export function colourSamples(photometric: number | undefined): number {
  const RGB = 2;
  const YCBCR = 6;
  const LOG_LUV = 32_845;
  if (photometric === PHOTOMETRIC.separated) return 4;
  const ofThree: readonly (number | undefined)[] = [RGB, YCBCR, PHOTOMETRIC.cieLab, PHOTOMETRIC.iccLab, LOG_LUV];
  return ofThree.includes(photometric) ? 3 : 1;
}
