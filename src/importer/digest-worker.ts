/** Entry of the thread that hashes the sources: goes through the files one after the other, as far as it is told. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { CheckpointError } from '../errors.ts';
import type { FileDigest } from '../pack/model-declaration.ts';
import { serve } from '../threads/serve.ts';
import type { DigestNotice, DigestRequest, DigestStart } from './source-digests.ts';

/** Few enough for the bytes to be in the processor's cache still when they are hashed. */
const CHUNK_BYTES = 2 ** 18;

serve<DigestStart, DigestRequest, readonly FileDigest[], DigestNotice>(async ({ paths }) => {
  const chunk = new Uint8Array(CHUNK_BYTES);
  const digests: FileDigest[] = [];
  let current: { file: number; hash: Hash; bytes: number } | undefined;
  let hashed = 0;
  let failure: CheckpointError | undefined;

  /** Hashes the file at `path` until `allowed` bytes of all files are done, or it ends. */
  function hashFile(path: string, allowed: number): void {
    current ??= { file: openSync(path, 'r'), hash: createHash('sha256'), bytes: 0 };
    while (hashed < allowed) {
      const length = readSync(current.file, chunk, 0, CHUNK_BYTES, current.bytes);
      current.hash.update(chunk.subarray(0, length));
      current.bytes += length;
      hashed += length;
      if (length > 0) continue;
      closeSync(current.file);
      digests.push({ path, bytes: current.bytes, sha256: current.hash.digest('hex') });
      current = undefined;
      return;
    }
  }

  /** Hashes until `allowed` bytes are done, or all files are. A failure ends the work, and is told with the answer. */
  function hashUpTo(allowed: number): void {
    for (const path of paths.slice(digests.length)) {
      if (hashed >= allowed || failure !== undefined) return;
      try {
        hashFile(path, allowed);
      } catch (cause) {
        failure = new CheckpointError(path, `the file cannot be read (${String(cause)}).`, { cause });
      }
    }
  }

  return {
    answer: async () => {
      hashUpTo(Infinity);
      if (failure !== undefined) throw failure;
      return digests;
    },
    hear: ({ allowed }) => hashUpTo(allowed),
    close: async () => undefined,
  };
});
