/**
 * Recomputes what `model.json` says of every file of a pack: its size and its sha256.
 *
 * Files are streamed, so that memory stays small whatever their size. Files that nobody declared are reported too.
 */
import { isAbsolute, join } from 'node:path';
import { PackError, systemErrorCode } from '../errors.ts';
import { digestFile } from '../pack/file-digest.ts';
import type { FileDigest, Pack } from '../pack/model-declaration.ts';
import { listFiles } from './pack-files.ts';

type Content = Omit<FileDigest, 'path'>;

/** One file of a pack, as declared and as found. */
export type FileCheck = {
  /** Relative to the pack's folder, with `/`. */
  path: string;
  /** Undefined for a file that `model.json` does not declare. */
  expected: Content | undefined;
  found: Content | 'missing';
  /** True where found is as expected. A file that is not declared is `ok`: minigpt never opens it. */
  ok: boolean;
};

/**
 * Checks every declared file in order, then every other file of the folder.
 *
 * @param onFile Called after each file, for progress.
 * @throws PackError when `model.json` declares a file outside of the pack's folder.
 */
export async function verifyPack(
  pack: Pack,
  onFile?: (check: FileCheck) => void,
  signal?: AbortSignal,
): Promise<FileCheck[]> {
  const { directory, declaration } = pack;
  for (const { path } of declaration.files) refuseOutside(directory, path);
  const declared = new Set(['model.json', ...declaration.files.map((file) => file.path)]);
  const others = (await listFiles(directory)).filter((file) => !declared.has(file.path));
  const checks: FileCheck[] = [];
  const report = (check: FileCheck) => {
    checks.push(check);
    onFile?.(check);
  };
  for (const { path, bytes, sha256 } of declaration.files) {
    const found = await digest(join(directory, path), signal);
    const ok = found !== 'missing' && found.bytes === bytes && found.sha256 === sha256;
    report({ path, expected: { bytes, sha256 }, found, ok });
  }
  for (const { path } of others) {
    report({ path, expected: undefined, found: await digest(join(directory, path), signal), ok: true });
  }
  return checks;
}

async function digest(path: string, signal: AbortSignal | undefined): Promise<Content | 'missing'> {
  try {
    return await digestFile(path, signal);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return 'missing';
    if (signal?.aborted === true) throw error;
    throw new PackError(path, `the file cannot be read (${String(error)}).`, { cause: error });
  }
}

/** `model.json` may be anybody's: a path in it must not make us read files elsewhere. */
function refuseOutside(directory: string, path: string): void {
  if (path === '' || isAbsolute(path) || path.split(/[/\\]/).includes('..')) {
    throw new PackError(join(directory, 'model.json'), `it lists the file "${path}", which is outside of the pack.`);
  }
}
