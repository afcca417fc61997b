/**
 * The kinds of files that may lie in a folder of images: what they are called, how they end, and whether they can be read.
 *
 * What a file is follows from its first bytes (`kindOfBytes`); endings only say which files of a folder are worth a look.
 */

/** A kind of file. */
export type ImageKind = {
  /** As messages call it. */
  name: string;
  /** Endings of file names in lower case, with the dot. */
  endings: readonly string[];
  /** Whether minigpt decodes it. */
  readable: boolean;
  /** What to do with a file that cannot be read; where it is left out, converting it is enough. */
  advice?: string;
};

const EXPORT_RAW = 'Export it as JPEG or TIFF with a raw converter; the JPEG that many cameras save beside it will do.';
const EXPORT_DRAWING = 'Export it as PNG or JPEG with the program it was made with.';
const NO_PICTURE = 'Give the pictures inside as files of their own.';

const kind = (name: string, endings: string, advice?: string): ImageKind => ({
  name,
  endings: endings.split(' ').filter((ending) => ending !== ''),
  readable: false,
  ...(advice === undefined ? {} : { advice }),
});
const readable = (name: string, endings: string): ImageKind => ({ ...kind(name, endings), readable: true });
const raw = (maker: string, endings: string): ImageKind => kind(`${maker} camera raw`, endings, EXPORT_RAW);

/** Every kind that has a name here. */
export const KIND = {
  jpeg: readable('JPEG', '.jpg .jpeg .jpe .jfif .jfi .jif .mpo'),
  png: readable('PNG', '.png .apng'),
  webp: readable('WebP', '.webp'),
  avif: readable('AVIF', '.avif .avifs'),
  heic: readable('HEIC', '.heic .heif .hif .heics .heifs'),
  gif: readable('GIF', '.gif'),
  tiff: readable('TIFF', '.tif .tiff'),
  svg: readable('SVG', '.svg .svgz'),
  bmp: readable('BMP', '.bmp .dib'),
  icon: readable('icon', '.ico .cur'),
  jpegXl: readable('JPEG XL', '.jxl'),

  dng: raw('DNG', '.dng'),
  canonRaw: raw('Canon', '.cr2 .cr3 .crw'),
  nikonRaw: raw('Nikon', '.nef .nrw'),
  sonyRaw: raw('Sony', '.arw .srf .sr2'),
  fujifilmRaw: raw('Fujifilm', '.raf'),
  olympusRaw: raw('Olympus', '.orf .ori'),
  panasonicRaw: raw('Panasonic', '.rw2 .rwl'),
  pentaxRaw: raw('Pentax', '.pef'),
  samsungRaw: raw('Samsung', '.srw'),
  hasselbladRaw: raw('Hasselblad', '.3fr .fff'),
  phaseOneRaw: raw('Phase One', '.iiq'),
  kodakRaw: raw('Kodak', '.dcr .kdc .k25'),
  sigmaRaw: raw('Sigma', '.x3f'),
  minoltaRaw: raw('Minolta', '.mrw'),
  cameraRaw: kind('camera raw', '.erf .mef .mos .gpr', EXPORT_RAW),

  jpeg2000: kind('JPEG 2000', '.jp2 .j2k .j2c .jpc .jpf .jpx .jpm .jph .jhc'),
  jpegXr: kind('JPEG XR', '.jxr .wdp .hdp'),
  photoshop: kind('Photoshop', '.psd .psb', EXPORT_DRAWING),
  gimp: kind('GIMP', '.xcf', EXPORT_DRAWING),
  openExr: kind('OpenEXR', '.exr'),
  radiance: kind('Radiance HDR', '.hdr'),
  netpbm: kind('Netpbm', '.ppm .pgm .pbm .pnm .pam .pfm'),
  qoi: kind('QOI', '.qoi'),
  dds: kind('DDS', '.dds'),
  fits: kind('FITS', '.fits .fts'),
  targa: kind('Targa', '.tga'),
  pcx: kind('PCX', '.pcx'),
  krita: kind('Krita', '.kra', EXPORT_DRAWING),
  dicom: kind('DICOM', '.dcm'),
  djvu: kind('DjVu', '.djvu .djv'),
  metafile: kind('Windows metafile', '.wmf .emf', EXPORT_DRAWING),
  appleIcon: kind('Apple icon', '.icns'),
  pdf: kind('PDF', '.pdf', NO_PICTURE),
  postScript: kind('PostScript', '.ps .eps', EXPORT_DRAWING),
  video: kind('MP4 or QuickTime video', '.mp4 .mov .m4v', 'Save single pictures of it as JPEG or PNG.'),
  matroska: kind('Matroska or WebM video', '.mkv .webm', 'Save single pictures of it as JPEG or PNG.'),
  zip: kind('ZIP archive', '.zip', NO_PICTURE),
  gzip: kind('gzip', '.gz', NO_PICTURE),
} as const satisfies Record<string, ImageKind>;

/** The kinds with the endings of their files. */
export const KINDS: readonly ImageKind[] = Object.values(KIND);

/** Raw files of cameras, whoever made them. */
export const CAMERA_RAWS: ReadonlySet<ImageKind> = new Set(KINDS.filter(({ advice }) => advice === EXPORT_RAW));

/** The names of what can be read, for messages: `JPEG, PNG, … and JPEG XL`. */
export const READABLE_NAMES = KINDS.filter((one) => one.readable && one !== KIND.icon)
  .map(({ name }) => name)
  .join(', ')
  .replace(/, ([^,]*)$/, ' and $1');

const BY_ENDING = new Map(KINDS.flatMap((one) => one.endings.map((ending) => [ending, one])));

/** The kind that the ending of a file's name stands for, whatever its case; undefined for endings of other files. */
export function kindOfEnding(path: string): ImageKind | undefined {
  const ending = /\.[^./\\]*$/.exec(path)?.[0];
  return ending === undefined ? undefined : BY_ENDING.get(ending.toLowerCase());
}
