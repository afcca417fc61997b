/** Counts what became of the images, and says it in one line. The exit code is decided here too, so that the two always agree. */
import type { ImageFile } from '../images/image-file.ts';
import { isFailed } from '../output/record.ts';
import type { ImageOutcome } from '../pipeline/run.ts';
import type { Task } from '../pipeline/settings.ts';
import { formatDuration } from './duration.ts';
import { EXIT } from './exit-codes.ts';
import type { Interrupted } from './interruption.ts';

/** What happens to an image that goes well. */
const VERBS = { caption: 'captioned', ask: 'answered' } as const satisfies Record<Task['kind'], string>;

export class Tally {
  readonly #files: readonly ImageFile[];
  readonly #verb: string;
  #done = 0;
  #failed = 0;

  /** @param files The images of the run, in order. */
  constructor(files: readonly ImageFile[], kind: Task['kind']) {
    this.#files = files;
    this.#verb = VERBS[kind];
  }

  get total(): number {
    return this.#files.length;
  }

  /** Images whose records are written, failed ones included. */
  get done(): number {
    return this.#done;
  }

  /** Images with at least one failed record. */
  get failed(): number {
    return this.#failed;
  }

  get exitCode(): number {
    return this.#failed > 0 ? EXIT.someFailed : EXIT.ok;
  }

  count(outcome: ImageOutcome): void {
    this.#done += 1;
    if (outcome.records.some(isFailed)) this.#failed += 1;
  }

  /** `195 images captioned, 5 failed, in 12.3 s (16.2 images/s).` */
  summary(seconds: number): string {
    const rate = (this.#done / Math.max(seconds, 1e-3)).toFixed(1);
    const comma = this.#failed > 0 ? ',' : '';
    return `${this.#counts()}${comma} in ${formatDuration(seconds)} (${rate} images/s).`;
  }

  /**
   * What an interrupted run leaves behind, and how to go on.
   *
   * @param output The file the records are in; undefined for standard output.
   */
  interruptedSummary(interrupted: Interrupted, output: string | undefined): string {
    const next = this.#files[this.#done]?.path;
    if (this.#done === 0 || next === undefined) return `${interrupted.word} before the first image was ${this.#verb}.`;
    const counts = `${interrupted.word}: ${this.#counts()}, ${this.total - this.#done} left.`;
    return output === undefined
      ? `${counts} Every line written is complete; go on from ${next}.`
      : `${counts} Every line in ${output} is complete; go on from ${next} with another --output.`;
  }

  #counts(): string {
    const good = this.#done - this.#failed;
    const counts = `${good} ${good === 1 ? 'image' : 'images'} ${this.#verb}`;
    return this.#failed === 0 ? counts : `${counts}, ${this.#failed} failed`;
  }
}
