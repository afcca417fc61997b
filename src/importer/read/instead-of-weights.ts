/** What lies in the place of a checkpoint file: mostly something that a download or a clone left behind. */

/** Bytes of a file's beginning that are enough to tell. */
export const HEAD_BYTES = 512;

const LFS_POINTER = /^version https:\/\/(?:git-lfs|hawser)\.github\.com\/spec\//;

/** Whether a file is only a Git LFS pointer, by its first bytes. */
export function isLfsPointer(head: Uint8Array): boolean {
  return LFS_POINTER.test(latin1(head));
}

/** The end of a sentence about a Git LFS pointer, with what to do. */
export const LFS_POINTER_ADVICE =
  'a Git LFS pointer, which only names the file. Run "git lfs pull" in the clone, or download the file itself';

/** What a file of unknown format is, by its first bytes; undefined where they tell nothing. */
export function guessByHead(head: Uint8Array): string | undefined {
  const text = latin1(head);
  if (text === '') return 'the file is empty. Download it again';
  if (isLfsPointer(head)) return `it is ${LFS_POINTER_ADVICE}`;
  if (/^\s*<(?:!doctype|html|head|\?xml)/i.test(text)) {
    return 'it is a web page. The download probably ended on a page with a message; open it to see';
  }
  if (text.slice(257, 262) === 'ustar') {
    return 'it is a tar archive, as PyTorch wrote before version 0.1.10. Save it again with a newer version';
  }
  return undefined;
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, Math.min(byteLength, HEAD_BYTES)).toString('latin1');
}
