/** Whether a pack fits on the disk it will lie on, asked before hours of work. */
import { OutputError } from '../errors.ts';
import { freeBytes } from '../store/download/free-space.ts';
import { formatBytes } from './byte-size.ts';

/**
 * @param measure stands in for the disk in tests
 * @throws OutputError when `needed` bytes do not fit below `folder`.
 */
export async function requireRoom(folder: string, needed: number, measure = freeBytes): Promise<void> {
  const free = await measure(folder);
  if (free === undefined || free >= needed) return;
  throw new OutputError(
    folder,
    `the pack needs ${formatBytes(needed)}, and ${formatBytes(free)} are free. Make room, or choose another disk with MINIGPT_HOME.`,
  );
}
