/** Counts the results and summarises them in one line. The exit code is decided here too, so that the two always agree. */
import type { Discovery } from '../../images/discover.ts';
import { LeftOut } from '../../images/discovery/left-out.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { isFailed, type RecordKind } from '../../output/record.ts';
import type { LaterOutcome } from '../../pipeline/rank.ts';
import type { ImageOutcome } from '../../pipeline/run.ts';
import { formatDuration } from '../terminal/duration.ts';
import { EXIT } from '../exit-codes.ts';
import type { Interrupted } from '../terminal/interruption.ts';
import { describeMissing } from './discovery-report.ts';

/** What was done with an image that did not fail. */
const VERBS: Readonly<Record<RecordKind, string>> = {
  caption: 'captioned',
  wordings: 'captioned',
  ask: 'answered',
  match: 'matched',
  rank: 'compared',
};

/** What was met beside the images of the run. */
type Missing = Pick<Discovery, 'unreadableFolders' | 'leftOut'>;

const NOTHING_MISSING: Missing = { unreadableFolders: 0, leftOut: new LeftOut() };

export class Tally {
  readonly #files: readonly ImageFile[];
  readonly #kind: RecordKind;
  readonly #missing: Missing;
  #done = 0;
  #failed = 0;

  /** @param files The images of the run, in order. */
  constructor(files: readonly ImageFile[], kind: RecordKind, missing = NOTHING_MISSING) {
    this.#files = files;
    this.#kind = kind;
    this.#missing = missing;
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
    return this.#failed > 0 || this.#missing.unreadableFolders > 0 ? EXIT.someFailed : EXIT.ok;
  }

  count(outcome: ImageOutcome | LaterOutcome): void {
    // A later outcome is about images that are already counted.
    if (!('later' in outcome)) this.#done += 1;
    if (outcome.records.some(isFailed)) this.#failed += 1;
  }

  /** `195 images captioned, 5 failed, in 12.3 s (16.2 images/s). 7 other files left out: 3 .mov, 4 .txt.` */
  summary(seconds: number): string {
    const rate = (this.#done / Math.max(seconds, 1e-3)).toFixed(1);
    const comma = this.#failed > 0 ? ',' : '';
    const done = `${this.#counts()}${comma} in ${formatDuration(seconds)} (${rate} images/s).`;
    return [done, ...describeMissing(this.#missing)].join(' ');
  }

  /**
   * What an interrupted run has written, and how to continue.
   *
   * @param output the file with the records; undefined for standard output
   */
  interruptedSummary(interrupted: Interrupted, output: string | undefined): string {
    const next = this.#files[this.#done]?.path;
    if (this.#kind === 'rank')
      return `${interrupted.word}: ${this.#counts()}, ${this.total - this.#done} left. The best images are only known at the end of a run.`;
    if (this.#done === 0 || next === undefined) return `${interrupted.word} before the first image was ${this.#verb}.`;
    const counts = `${interrupted.word}: ${this.#counts()}, ${this.total - this.#done} left.`;
    return output === undefined
      ? `${counts} Every written line is complete. To continue, start at ${next}.`
      : `${counts} Every line in ${output} is complete. To continue, start at ${next} with another --output.`;
  }

  get #verb(): string {
    return VERBS[this.#kind];
  }

  #counts(): string {
    const good = this.#done - this.#failed;
    const counts = `${good} ${good === 1 ? 'image' : 'images'} ${this.#verb}`;
    return this.#failed === 0 ? counts : `${counts}, ${this.#failed} failed`;
  }
}
