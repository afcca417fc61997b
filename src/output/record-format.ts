/** What a format is: records in, text out. A format knows nothing of files; `destination.ts` knows nothing of formats. */
import type { OutputRecord } from './record.ts';

export interface RecordFormat {
  /** Written once, before the first record; empty where the format has none. */
  readonly header: string;
  /** One record, complete with the end of its line. */
  encode(record: OutputRecord): string;
  /** Written once, behind the last record of a run that came to its end; empty where the format has none. */
  readonly footer: string;
}
