/** `minigpt models import`: shows what was found and writes the weights into a new pack. If it fails, it leaves no files behind. */
import { rmSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { basename } from 'node:path';
import { CheckpointError, OutputError, PackError } from '../../errors.ts';
import { printable } from '../../output/printable.ts';
import type { ImportPlan } from '../../importer/import-checkpoint.ts';
import type { Family, ModelDeclaration, Precision } from '../../pack/model-declaration.ts';
import { freeBytes } from '../../store/download/free-space.ts';
import { installPack } from '../../store/install.ts';
import { userPacks } from '../../store/packs.ts';
import { ByteProgress } from '../terminal/byte-progress.ts';
import { formatBytes } from '../terminal/byte-size.ts';
import { formatDuration } from '../terminal/duration.ts';
import { Interruption } from '../terminal/interruption.ts';
import { Terminal } from '../terminal/terminal.ts';
import { formatTable } from '../terminal/text-table.ts';

/** As typed. */
export type ImportFlags = {
  as: string;
  precision: Precision;
  family?: Family;
  config?: string;
  allowUnused?: boolean;
};

/** Imports the checkpoints in `sources` as a pack among the user's. */
export async function importModel(sources: readonly string[], flags: ImportFlags): Promise<void> {
  const { importCheckpoint } = await import('../../importer/import-checkpoint.ts');
  const terminal = new Terminal(process.stderr);
  const interruption = new Interruption();
  const progress = new ByteProgress(terminal, process.stderr, describeImport);
  const began = performance.now();
  let unfinished: string | undefined;
  try {
    const importing = installPack(flags.as, async (temporaryDirectory) => {
      unfinished = temporaryDirectory;
      await importCheckpoint(temporaryDirectory, {
        sources,
        id: flags.as,
        precision: flags.precision,
        family: flags.family,
        config: flags.config,
        allowUnused: flags.allowUnused,
        signal: interruption.signal,
        onPlan: async (plan) => {
          terminal.say(
            `${sources.join(', ')}: ${plan.family}, ${plan.tensorsUsed} tensors; ${formatBytes(plan.weightBytes)} as ${plan.precision}`,
          );
          for (const line of describeSources(plan)) terminal.say(line);
          if (plan.leftOver.length > 0) {
            const rows = plan.leftOver.map(({ name, file, shape, reason }) => [
              printable(name),
              `[${shape.join(', ')}]`,
              printable(basename(file)),
              reason,
            ]);
            terminal.say(`${tensors(plan.leftOver.length)} not needed:`);
            process.stderr.write(formatTable(['tensor', 'shape', 'file', 'why'], rows));
          }
          await requireRoom(userPacks(), plan.weightBytes);
          progress.plan(plan.weightBytes);
        },
        onTexts: async (declaration) => requireTexts(declaration, temporaryDirectory, sources),
        onBytes: (bytes) => progress.advance(bytes),
      });
    });
    const directory = await interruption.orLeave(importing);
    progress.stop();
    terminal.say(`imported as ${flags.as} in ${formatDuration((performance.now() - began) / 1000)}: ${directory}`);
  } catch (error) {
    const { interrupted } = interruption;
    if (interrupted === undefined) throw error;
    progress.stop();
    // An import that is stuck, in a file that never opens for example, does not come to it.
    if (unfinished !== undefined) rmSync(unfinished, { recursive: true, force: true, maxRetries: 3 });
    terminal.say(`${interrupted.word}; no files were left behind`);
    process.exitCode = interrupted.exitCode;
  } finally {
    progress.stop();
    interruption.release();
  }
}

/** `1 tensor is` or `7 tensors are`. */
function tensors(count: number): string {
  return count === 1 ? '1 tensor is' : `${count} tensors are`;
}

/** Which source each part comes from where there was a choice, and what adapters and later sources changed. */
function describeSources({ choices, replaced, adapted }: ImportPlan): string[] {
  const lines = choices.map(
    ({ part, taken, leftOut, why }) => `${part}: taken from ${taken}, not from ${leftOut.join(', ')} (${why})`,
  );
  const counts = new Map<string, number>();
  for (const { file, by } of replaced) {
    const change = `${by}, not ${file}`;
    counts.set(change, (counts.get(change) ?? 0) + 1);
  }
  for (const [change, count] of counts) lines.push(`${tensors(count)} taken from a later source: ${change}`);
  if (adapted > 0) lines.push(`${tensors(adapted)} changed by a merged LoRA adapter`);
  return lines;
}

/**
 * Refuses a model whose answers cannot end, or whose prompts cannot be tokenized. Reading the weights may take minutes, so this comes first.
 *
 * @throws CheckpointError when the tokenizer does not fit the model's family.
 */
async function requireTexts(
  declaration: ModelDeclaration,
  directory: string,
  sources: readonly string[],
): Promise<void> {
  const { promptFamily } = declaration;
  if (promptFamily === undefined) return;
  const { loadTexts } = await import('../../engine/texts/load-texts.ts');
  try {
    await loadTexts({ directory, declaration, digest: '' });
  } catch (cause) {
    if (!(cause instanceof PackError)) throw cause;
    const problem = cause.message.slice(`${cause.path}: `.length);
    throw new CheckpointError(sources.join(', '), `${basename(cause.path)}: ${problem}`, { cause });
  }
}

/** `1.2 GB of 4.0 GB, 20 s left`. */
function describeImport(done: number, planned: number, seconds: number): string {
  const left = (seconds / done) * (planned - done);
  return `${formatBytes(done)} of ${formatBytes(planned)}, ${formatDuration(left)} left`;
}

/**
 * Checks that the pack fits on the disk, before hours of work.
 *
 * @param measure replaces the disk in tests
 * @throws OutputError when `needed` bytes do not fit below `folder`.
 */
export async function requireRoom(folder: string, needed: number, measure = freeBytes): Promise<void> {
  const free = await measure(folder);
  if (free === undefined || free >= needed) return;
  throw new OutputError(
    folder,
    `the pack needs ${formatBytes(needed)}, but only ${formatBytes(free)} are free. Free some space, or choose another disk with MINIGPT_HOME.`,
  );
}
