/**
 * CSV as RFC 4180 has it: a header, CRLF at the end of each row, quotes around cells that hold a comma, a quote or a line break.
 *
 * A row always has the same columns; what a record lacks is an empty cell. The error cell holds code and message, `empty-file: …`.
 */
import { stringify } from 'csv-stringify/sync';
import type { OutputRecord, RecordDetails } from './record.ts';
import { isFailed } from './record.ts';
import type { RecordFormat } from './record-format.ts';

export type CsvColumns = {
  /** Columns of `ask` (question, answer) instead of those of `caption`. */
  questions: boolean;
  /** Whether the columns of `--details` follow on the right. */
  details: boolean;
};

const DETAIL_COLUMNS = [
  'model',
  'prompt',
  'tokenIds',
  'finishReason',
  'score',
  'seconds',
] as const satisfies readonly (keyof RecordDetails)[];

/** The CSV format for one command. */
export function csv({ questions, details }: CsvColumns): RecordFormat {
  const columns = [
    'image',
    ...(questions ? ['question', 'answer'] : ['caption']),
    'error',
    ...(details ? DETAIL_COLUMNS : []),
  ];
  return {
    header: row(columns),
    encode(record) {
      const cells = cellsOf(record);
      return row(columns.map((column) => cells[column] ?? ''));
    },
  };
}

function cellsOf(record: OutputRecord): Readonly<Record<string, string | number>> {
  if (isFailed(record)) {
    const { error, ...rest } = record;
    return { ...rest, error: `${error.code}: ${error.message}` };
  }
  const { tokenIds, ...rest } = record;
  return tokenIds === undefined ? rest : { ...rest, tokenIds: tokenIds.join(' ') };
}

function row(cells: readonly (string | number)[]): string {
  // The library quotes a cell that holds a whole record delimiter; half of one ends a line for most readers too.
  return stringify([[...cells]], { record_delimiter: 'windows', quoted_match: /[\r\n]/ });
}
