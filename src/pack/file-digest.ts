/** Size and sha256 of a file, read in a stream. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileDigest } from './model-declaration.ts';

export async function digestFile(path: string, signal?: AbortSignal): Promise<Omit<FileDigest, 'path'>> {
  const hash = createHash('sha256');
  let bytes = 0;
  const stream = createReadStream(path, { highWaterMark: 2 ** 20, ...(signal === undefined ? {} : { signal }) });
  for await (const chunk of stream) {
    const data: Buffer = chunk;
    hash.update(data);
    bytes += data.byteLength;
  }
  return { bytes, sha256: hash.digest('hex') };
}
