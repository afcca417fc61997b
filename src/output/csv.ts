/**
 * CSV as RFC 4180 has it: a header, CRLF at the end of each row, quotes around cells that hold a comma, a quote or a line break.
 *
 * A row always has the same columns; what a record lacks is an empty cell. The error cell holds code and message, `empty-file: …`.
 */
import { stringify } from 'csv-stringify/sync';
import type { OutputRecord, RecordDetails, RecordedChoice, RecordKind } from './record.ts';
import { isFailed } from './record.ts';
import type { RecordFormat } from './record-format.ts';

export type CsvColumns = {
  kind: RecordKind;
  /** Whether the columns of `--details` follow on the right. */
  details: boolean;
  /** Whether the scores of choices are the last column: one cell of JSON, so that the columns do not depend on what somebody calls a choice. */
  scores?: boolean;
};

/** What stands between image and error. */
const COLUMNS: Readonly<Record<RecordKind, readonly string[]>> = {
  caption: ['caption'],
  wordings: ['instruction', 'caption'],
  ask: ['question', 'answer'],
  match: ['text', 'itm', 'itc'],
  rank: ['text', 'rank', 'itm', 'itc'],
};

const ANSWER_DETAILS = ['model', 'prompt', 'tokenIds', 'finishReason', 'score', 'seconds', 'beamScore'] as const;

const DETAIL_COLUMNS: Readonly<Record<RecordKind, readonly (keyof RecordDetails)[]>> = {
  caption: ANSWER_DETAILS,
  wordings: ANSWER_DETAILS,
  ask: ANSWER_DETAILS,
  match: ['model', 'seconds'],
  rank: ['model', 'score'],
};

/** The CSV format for one command. */
export function csv({ kind, details, scores = false }: CsvColumns): RecordFormat {
  const columns = [
    'image',
    ...COLUMNS[kind],
    'error',
    ...(details ? [...DETAIL_COLUMNS[kind], 'warnings'] : []),
    ...(scores ? ['scores'] : []),
  ];
  return {
    header: row(columns),
    encode(record) {
      const cells = cellsOf(record);
      // What a record lacks is an empty cell.
      return row(columns.map((column) => cells[column] ?? ''));
    },
    footer: '',
  };
}

function cellsOf(record: OutputRecord): Readonly<Record<string, string | number>> {
  if (isFailed(record)) {
    const { error, ...rest } = record;
    return { ...rest, error: `${error.code}: ${error.message}` };
  }
  const values: [string, string | number | List][] = Object.entries(record);
  return Object.fromEntries(values.map(([key, value]) => [key, typeof value === 'object' ? listCell(value) : value]));
}

type List = readonly (number | string)[] | readonly RecordedChoice[];

function listCell(list: List): string {
  return list.every((item) => typeof item !== 'object') ? list.join(' ') : JSON.stringify(list);
}

function row(cells: readonly (string | number)[]): string {
  // The library quotes a cell that holds a whole record delimiter; half of one ends a line for most readers too.
  return stringify([[...cells]], { record_delimiter: 'windows', quoted_match: /[\r\n]/ });
}
