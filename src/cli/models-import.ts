/** `minigpt models import`: shows what was found, streams the weights into a new pack, and leaves nothing behind when it fails. */
import { performance } from 'node:perf_hooks';
import { basename } from 'node:path';
import { CheckpointError, PackError } from '../errors.ts';
import { printable } from '../output/printable.ts';
import type { ModelDeclaration } from '../pack/model-declaration.ts';
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
  const progress = new ByteProgress(process.stderr, terminal);
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
        onTexts: async (declaration) => requireTexts(declaration, temporaryDirectory, sources),
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

/**
 * A model whose answers cannot end, or whose prompts cannot be written, is refused before its weights are read, which may take minutes.
 *
 * @throws CheckpointError when the tokenizer is not one for the model's family.
 */
async function requireTexts(
  declaration: ModelDeclaration,
  directory: string,
  sources: readonly string[],
): Promise<void> {
  const { promptFamily } = declaration;
  if (promptFamily === undefined) return;
  const { loadTexts } = await import('../engine/load-texts.ts');
  try {
    await loadTexts({ directory, declaration, digest: '' });
  } catch (cause) {
    if (!(cause instanceof PackError)) throw cause;
    const problem = cause.message.slice(`${cause.path}: `.length);
    throw new CheckpointError(sources.join(', '), `${basename(cause.path)}: ${problem}`, { cause });
  }
}

/** Between two plain lines. */
const LINE_INTERVAL_MS = 10_000;

/** Written bytes and time left: on one line of a terminal, elsewhere as a line now and then. */
class ByteProgress {
  readonly #stream: NodeJS.WriteStream;
  readonly #terminal: Terminal;
  #total = 0;
  #done = 0;
  #began = 0;
  /** When it was last shown. */
  #shown = 0;

  constructor(stream: NodeJS.WriteStream, terminal: Terminal) {
    this.#stream = stream;
    this.#terminal = terminal;
  }

  start(total: number): void {
    this.#total = total;
    this.#began = performance.now();
    this.#shown = this.#began;
  }

  add(bytes: number): void {
    this.#done += bytes;
    const now = performance.now();
    if (now - this.#shown < (this.#stream.isTTY ? 100 : LINE_INTERVAL_MS)) return;
    this.#shown = now;
    const left = ((now - this.#began) / 1000 / this.#done) * (this.#total - this.#done);
    const standing = `${formatBytes(this.#done)} of ${formatBytes(this.#total)}, ${formatDuration(left)} left`;
    if (this.#stream.isTTY) {
      this.#stream.clearLine(0);
      this.#stream.cursorTo(0);
      this.#stream.write(standing);
    } else {
      this.#terminal.say(standing);
    }
  }

  /** Takes the line off the screen; may be called twice. */
  stop(): void {
    if (!this.#stream.isTTY || this.#done === 0) return;
    this.#stream.clearLine(0);
    this.#stream.cursorTo(0);
  }
}
