/**
 * Checksums as publishers state them: sha256 for large files of the hub, the id of a git blob for its small ones, md5 from Google's storage.
 *
 * All of them find a damaged or mixed-up file; only sha256 also withstands someone who forges one.
 */
import { createHash, type Hash } from 'node:crypto';

export type ChecksumKind = 'sha256' | 'git-blob' | 'md5';

export type Checksum = { kind: ChecksumKind; hex: string };

/** Begins the checksum of a file of `bytes`, which git needs to know beforehand. */
export function startChecksum(kind: ChecksumKind, bytes: number): Hash {
  return kind === 'git-blob' ? createHash('sha1').update(`blob ${bytes}\0`) : createHash(kind);
}
