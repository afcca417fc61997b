/** Entry of the thread that hashes the sources: goes through the files one after the other, as far as it is told. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { FileDigest } from '../pack/model-declaration.ts';
import type { DigestAnswer, DigestRequest, DigestStart } from './source-digests.ts';

const port = parentPort;
if (port === null) throw new Error('this runs as a worker thread only');

/** Few enough for the bytes to be in the processor's cache still when they are hashed. */
const CHUNK_BYTES = 2 ** 18;

const { paths } = workerData as DigestStart;
const chunk = new Uint8Array(CHUNK_BYTES);
const digests: FileDigest[] = [];
let current: { path: string; file: number; hash: Hash; bytes: number } | undefined;
let hashed = 0;

/** Hashes until `allowed` bytes are done, or all files are. */
function hashUpTo(allowed: number): void {
  while (hashed < allowed && digests.length < paths.length) {
    const path = paths[digests.length] ?? '';
    current ??= { path, file: openSync(path, 'r'), hash: createHash('sha256'), bytes: 0 };
    const length = readSync(current.file, chunk, 0, CHUNK_BYTES, current.bytes);
    current.hash.update(chunk.subarray(0, length));
    current.bytes += length;
    hashed += length;
    if (length > 0) continue;
    closeSync(current.file);
    digests.push({ path, bytes: current.bytes, sha256: current.hash.digest('hex') });
    current = undefined;
  }
}

port.on('message', ({ allowed }: DigestRequest) => {
  try {
    hashUpTo(allowed);
    if (digests.length < paths.length) return;
    port.postMessage({ type: 'digested', digests } satisfies DigestAnswer);
  } catch (error) {
    const path = paths[digests.length] ?? '';
    port.postMessage({ type: 'failed', path, reason: String(error) } satisfies DigestAnswer);
  }
  port.close();
});
