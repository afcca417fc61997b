/** Whether the first bytes of a file are those of an image: asked of files whose ending does not say. */
import { kindOfBytes } from '../kinds/kind-of-bytes.ts';
import { KIND, type ImageKind } from '../kinds/kinds.ts';
import type { FileSystem } from './file-system.ts';

const HEAD_BYTES = 64;
/** The first tag of an SVG stands behind a declaration and comments. */
const XML_HEAD_BYTES = 4096;
/** A shorter file is no image, whatever it begins with. */
const SMALLEST_IMAGE = 20;

/** Kinds that are known to name them in errors, and that are no images. */
const NO_IMAGES = new Set<ImageKind>([KIND.video, KIND.matroska, KIND.pdf, KIND.postScript, KIND.zip, KIND.gzip]);

/** @throws the system's error when the file cannot be read */
export async function looksLikeImage(file: string, files: Pick<FileSystem, 'readHead'>): Promise<boolean> {
  const head = await files.readHead(file, HEAD_BYTES);
  return isImageHead(beginsLikeXml(head) ? await files.readHead(file, XML_HEAD_BYTES) : head);
}

/** Whether a file that begins with `head` is an image, of a kind that is read or of another. */
export function isImageHead(head: Uint8Array): boolean {
  if (head.length < SMALLEST_IMAGE) return false;
  const kind = kindOfBytes(head);
  if (kind === undefined || NO_IMAGES.has(kind)) return false;
  // The marks of these two are so short that texts and numbers begin with them too.
  if (kind === KIND.bmp) return isBmp(head);
  return kind !== KIND.icon || isIcon(head);
}

/** Behind the mark stands a size, four zeros, a place, and the size of the next header. */
function isBmp(head: Uint8Array): boolean {
  const HEADER_SIZES = [12, 16, 40, 52, 56, 64, 108, 124];
  return HEADER_SIZES.includes(head[14] ?? 0) && [6, 7, 8, 9, 15, 16, 17].every((at) => head[at] === 0);
}

/** Fewer than 256 images, and of the first one a byte that is zero. */
function isIcon(head: Uint8Array): boolean {
  return head[4] !== 0 && head[5] === 0 && head[9] === 0;
}

function beginsLikeXml(head: Uint8Array): boolean {
  return /^\uFEFF?\s*<[?!s]/i.test(new TextDecoder('utf-8', { ignoreBOM: true }).decode(head));
}
