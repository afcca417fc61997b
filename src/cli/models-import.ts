/** `minigpt models import`: shows what was found, streams the weights into a new pack, and leaves nothing behind when it fails. */
import { performance } from 'node:perf_hooks';
import { basename } from 'node:path';
import { printable } from '../output/printable.ts';
import { installPack } from '../store/install.ts';
import { userPacks } from '../store/packs.ts';
import { formatBytes } from './byte-size.ts';
import { formatDuration } from './duration.ts';
import { requireRoom } from './import-room.ts';
import { Interruption } from './interruption.ts';
import type { ImportFlags } from './models.ts';
import { Terminal } from './terminal.ts';
import { formatTable } from './text-table.ts';

/** Imports the checkpoints in `sources` as a pack among the user's. */
export async function importModel(sources: readonly string[], flags: ImportFlags): Promise<void> {
  const { importCheckpoint } = await import('../importer/import-checkpoint.ts');
  const terminal = new Terminal(process.stderr);
  const interruption = new Interruption();
  const progress = new ByteProgress(process.stderr);
  const began = performance.now();
  try {
    const directory = await installPack(flags.as, async (temporaryDirectory) => {
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
          if (plan.leftOver.length > 0) {
            const rows = plan.leftOver.map(({ name, file, shape, reason }) => [
              printable(name),
              `[${shape.join(', ')}]`,
              printable(basename(file)),
              reason,
            ]);
            terminal.say(`${plan.leftOver.length} tensors are not needed:`);
            process.stderr.write(formatTable(['tensor', 'shape', 'file', 'why'], rows));
          }
          await requireRoom(userPacks(), plan.weightBytes);
          progress.start(plan.weightBytes);
        },
        onBytes: (bytes) => progress.add(bytes),
      });
    });
    progress.stop();
    terminal.say(`imported as ${flags.as} in ${formatDuration((performance.now() - began) / 1000)}: ${directory}`);
  } catch (error) {
    const { interrupted } = interruption;
    if (interrupted === undefined) throw error;
    progress.stop();
    terminal.say(`${interrupted.word}; nothing was left behind`);
    process.exitCode = interrupted.exitCode;
  } finally {
    progress.stop();
    interruption.release();
  }
}

/** Written bytes and time left, on one line of a terminal; silent elsewhere. */
class ByteProgress {
  readonly #stream: NodeJS.WriteStream;
  #total = 0;
  #done = 0;
  #began = 0;
  #drawn = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  start(total: number): void {
    this.#total = total;
    this.#began = performance.now();
  }

  add(bytes: number): void {
    this.#done += bytes;
    const now = performance.now();
    if (!this.#stream.isTTY || now - this.#drawn < 100) return;
    this.#drawn = now;
    const left = ((now - this.#began) / 1000 / this.#done) * (this.#total - this.#done);
    this.#stream.clearLine(0);
    this.#stream.cursorTo(0);
    this.#stream.write(`${formatBytes(this.#done)} of ${formatBytes(this.#total)}, ${formatDuration(left)} left`);
  }

  /** Takes the line off the screen; may be called twice. */
  stop(): void {
    if (this.#drawn === 0) return;
    this.#drawn = 0;
    this.#stream.clearLine(0);
    this.#stream.cursorTo(0);
  }
}
