/** `minigpt models rm`: asks on a terminal, and says how much space was freed. */
import { createInterface } from 'node:readline';
import { UsageError } from '../../errors.ts';
import { printable } from '../../output/printable.ts';
import { findRemovablePack, removePack } from '../../store/remove.ts';
import { formatBytes } from '../terminal/byte-size.ts';
import { Terminal } from '../terminal/terminal.ts';

/** As typed. */
export type RemoveFlags = { yes?: boolean };

/** Removes a pack that the user imported or downloaded. */
export async function removeModel(id: string, flags: RemoveFlags): Promise<void> {
  const terminal = new Terminal(process.stderr);
  const pack = await findRemovablePack(id);
  if (flags.yes !== true) {
    if (!process.stdin.isTTY || !process.stderr.isTTY) {
      throw new UsageError(
        `removing ${id} (${formatBytes(pack.bytes)}) needs a confirmation, but there is no terminal to ask on. Add --yes.`,
      );
    }
    if (!(await confirm(`Remove ${id} (${formatBytes(pack.bytes)}, ${printable(pack.directory)})? [y/N] `))) {
      terminal.say(`${id} was not removed.`);
      return;
    }
  }
  const freed = await removePack(pack);
  terminal.say(`removed ${id} and freed ${formatBytes(freed)}`);
}

/** True for a yes. The end of the input counts as no. */
async function confirm(question: string): Promise<boolean> {
  process.stderr.write(question);
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) return /^\s*y(es)?\s*$/i.test(line);
    process.stderr.write('\n');
    return false;
  } finally {
    lines.close();
  }
}
