/**
 * What libjpeg warns of in JPEG files that show nothing wrong: cameras and editors put bytes of padding before the end, or numbers into headers
 * that nobody needs.
 */

/** The messages as libjpeg writes them, each in a line of its own. */
const HARMLESS = [
  /^Invalid SOS parameters for sequential JPEG$/,
  /^Warning: unknown JFIF revision number \d+\.\d+$/,
  /^Unknown Adobe color transform code \d+$/,
  /^Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9$/,
];

/** More padding than this must be one byte repeated; else it is data that a damaged place has left over. */
const PADDING_BYTES = 16;

/** Whether libvips gave up for harmless warnings alone. The error must be of this JPEG and no other. */
export function isHarmless(error: unknown, bytes: Uint8Array): boolean {
  const lines = String(error instanceof Error ? error.message : error)
    .split('\n')
    .map((line) => line.replace(/^\s*VipsJpeg:\s*/, '').trim())
    .filter((line) => line !== '');
  return lines.length > 0 && lines.every((line) => HARMLESS.some((pattern) => isMatch(pattern.exec(line), bytes)));
}

function isMatch(match: RegExpExecArray | null, bytes: Uint8Array): boolean {
  if (match === null) return false;
  const padding = match[1] === undefined ? 0 : Number(match[1]);
  return padding <= PADDING_BYTES || endsWithPadding(bytes, padding);
}

/** Whether so many bytes before the last end mark are all the same. */
function endsWithPadding(bytes: Uint8Array, count: number): boolean {
  const END_OF_IMAGE = 0xd9;
  let end = bytes.length - 2;
  while (end > 0 && !(bytes[end] === 0xff && bytes[end + 1] === END_OF_IMAGE)) end--;
  const first = bytes[end - 1];
  for (let at = end - count; at < end; at++) if (bytes[at] !== first) return false;
  return end > count;
}
