/** A format and a destination joined: the stream of records that a run writes. */
import { csv, type CsvColumns } from './csv.ts';
import type { Destination } from './destination.ts';
import { jsonl } from './jsonl.ts';
import type { OutputFormat } from './output-format.ts';
import type { OutputRecord } from './record.ts';
import type { RecordFormat } from './record-format.ts';
import { text } from './text.ts';
import type { Writer } from './writer.ts';

/** The format of that name. @param columns those of CSV */
export function recordFormat(name: OutputFormat, columns: CsvColumns): RecordFormat {
  return name === 'csv' ? csv(columns) : { jsonl, text }[name];
}

/**
 * Writes records in the order they come, those of an image at once. The destination is opened for the first of them, so that a run which
 * never gets that far leaves no file behind.
 */
export class RecordWriter implements Writer {
  readonly #format: RecordFormat;
  readonly #destination: Destination;
  #opened = false;

  constructor(format: RecordFormat, destination: Destination) {
    this.#format = format;
    this.#destination = destination;
  }

  async write(records: readonly OutputRecord[]): Promise<void> {
    if (!this.#opened) {
      await this.#destination.open();
      this.#opened = true;
      await this.#writeText(this.#format.header);
    }
    await this.#writeText(records.map((record) => this.#format.encode(record)).join(''));
  }

  async end(): Promise<void> {
    if (this.#opened) await this.#writeText(this.#format.footer);
  }

  async close(): Promise<void> {
    if (this.#opened) await this.#destination.close();
  }

  async #writeText(written: string): Promise<void> {
    if (written !== '') await this.#destination.write(written);
  }
}
