/**
 * What the ending of a file name says about the file. With 100,000 files in a folder nobody wants each of them opened, so a known ending
 * decides; only a file with an ending that stands in no list here, or without one, is looked into.
 */

/**
 * `image`: the file gets a record, be it an answer or an error that says what kind of image it is. `other`: no image, or what cameras and
 * programs put beside images. `unknown`: the first bytes decide.
 */
export type EndingMeaning = 'image' | 'other' | 'unknown';

/** Endings of images: of the kinds that are read (`kinds/kinds.ts`), and of others that get an error record with their name. */
const IMAGES = new Set(
  words(`
    jpg jpeg jpe jfif jfi jif mpo png apng webp avif avifs heic heics heif heifs hif gif tif tiff bmp dib svg svgz ico cur jxl
    3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf ori pef raf rw2 rwl sr2 srf srw x3f
    psd psb xcf kra eps exr dds tga pcx hdr pbm pgm ppm pnm pam pfm qoi fits fts dcm djvu djv wmf emf icns
    jp2 j2k j2c jpc jpf jpx jpm jph jhc jxr wdp hdp
  `),
);

/** Endings of what is no image. `thm` are the small copies of video frames that cameras write. */
const OTHER = new Set(
  words(`
    aae xmp pp3 dop cos cop cof on1 nksc lrcat lrdata lrprev lrtemplate thm lrv
    mov mp4 m4v avi mkv webm wmv flv mpg mpeg mts m2ts 3gp 3g2 insv ogv vob
    mp3 wav m4a aac flac ogg oga opus aif aiff wma mid midi amr
    txt md rst rtf log caption json jsonl ndjson json5 geojson xml xsd csv tsv yaml yml toml ini cfg conf properties plist env lock
    html htm css scss less js mjs cjs jsx ts mts cts tsx map py pyc pyi ipynb rb php pl go rs c h cc cpp hpp cs java kt swift lua r m
    sh bash zsh fish ps1 bat cmd sql vtt srt sub ass gpx kml kmz nfo url webloc desktop lnk
    pdf ps ai indd cdr doc docx xls xlsx ppt pptx odt ods odp odg pages numbers key epub mobi tex bib
    zip gz tgz bz2 xz zst 7z rar tar dmg iso jar cab deb rpm apk
    db sqlite sqlite3 npy npz mat pkl pickle parquet arrow feather h5 hdf5 lmdb tfrecord tfrecords
    pt pth ckpt safetensors onnx gguf pb tflite bin
    exe dll so dylib a o obj lib class wasm msi ttf otf woff woff2
    blend fbx stl glb gltf ply dae 3ds
    tmp part partial crdownload download swp md5 sha1 sha256 sig asc torrent
  `),
);

/** What the ending of the path's last name says. */
export function meaningOfEnding(path: string): EndingMeaning {
  const ending = endingOf(path).slice(1);
  if (IMAGES.has(ending)) return 'image';
  return OTHER.has(ending) ? 'other' : 'unknown';
}

/** The ending in lower case with its dot, as `.jpg`; empty for a name without one, such as `scan` and `.jpg`. */
export function endingOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  return dot <= 0 || dot === name.length - 1 ? '' : name.slice(dot).toLowerCase();
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}
