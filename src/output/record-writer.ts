/** A format and a destination joined: what a run writes its records to. */
import { csv, type CsvColumns } from './csv.ts';
import type { Destination } from './destination.ts';
import { jsonl } from './jsonl.ts';
import type { OutputFormat } from './output-format.ts';
import type { OutputRecord } from './record.ts';
import type { RecordFormat } from './record-format.ts';
import { text } from './text.ts';

/**
 * Writes records one by one, in the order they come. The destination is opened for the first of them, so that a run which never gets that
 * far leaves no file behind. Errors are those of `Destination`.
 */
export class RecordWriter {
  readonly #format: RecordFormat;
  readonly #destination: Destination;
  #opened = false;

  constructor(format: OutputFormat, columns: CsvColumns, destination: Destination) {
    this.#format = format === 'csv' ? csv(columns) : { jsonl, text }[format];
    this.#destination = destination;
  }

  /** Returns when the system has the whole record. */
  async write(record: OutputRecord): Promise<void> {
    if (!this.#opened) {
      await this.#destination.open();
      this.#opened = true;
      if (this.#format.header !== '') await this.#destination.write(this.#format.header);
    }
    await this.#destination.write(this.#format.encode(record));
  }

  async close(): Promise<void> {
    if (this.#opened) await this.#destination.close();
  }
}
