/**
 * The small files of a checkpoint, read whole: configs, indexes, vocabularies. Like the large ones they come from somewhere else: one may be a
 * named pipe, on which reading would wait for ever, or far larger than any config, or a Git LFS pointer in the place of the file.
 */
import { readFile, stat } from 'node:fs/promises';
import { CheckpointError, systemErrorCode } from '../../errors.ts';
import { isLfsPointer, LFS_POINTER_ADVICE } from './instead-of-weights.ts';

/** The largest published tokenizer.json files have about 35 MB. */
const MAX_BYTES = 256 * 2 ** 20;

/**
 * The bytes of a file; undefined where there is none.
 *
 * @throws CheckpointError when it is no ordinary file, too large, a Git LFS pointer, or cannot be read.
 */
export async function readSmallFile(path: string): Promise<Buffer | undefined> {
  let bytes: Buffer;
  try {
    // Asked before reading: reading a named pipe would wait for somebody to write into it.
    const stats = await stat(path);
    if (!stats.isFile()) throw new CheckpointError(path, 'this is not a file.', { fault: 'not-a-checkpoint' });
    if (stats.size > MAX_BYTES) {
      const message = `the file has ${stats.size} bytes, but a file of this name has at most ${MAX_BYTES}. It is damaged or another file.`;
      throw new CheckpointError(path, message, { fault: 'too-large' });
    }
    bytes = await readFile(path);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    if (systemErrorCode(cause) === 'ENOENT') return undefined;
    throw new CheckpointError(path, `the file cannot be read (${String(cause)}).`, { cause });
  }
  if (isLfsPointer(bytes)) {
    throw new CheckpointError(path, `this is ${LFS_POINTER_ADVICE}.`, { fault: 'not-a-checkpoint' });
  }
  return bytes;
}
