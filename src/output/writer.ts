/**
 * What a run writes to. A run may have several writers, and each gets everything: one writes a stream of records, another could keep a file
 * beside each image, or make one page of all.
 */
import type { OutputRecord } from './record.ts';

export interface Writer {
  /**
   * Takes the records of one image, in order; where the best images were asked for, those of one text. Never none.
   *
   * Returns when the system has them.
   *
   * @throws ClosedPipe when the reader has gone away.
   * @throws OutputError when the system refuses to write.
   */
  write(records: readonly OutputRecord[]): Promise<void>;
  /** Completes what was written. Called once, and only when the run has written all. */
  end(): Promise<void>;
  /** Closes what is open, however the run has ended. */
  close(): Promise<void>;
}
