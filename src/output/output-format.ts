/** The names of the formats, apart from their code: the help of the command line needs no more than this. */
import { extname } from 'node:path';

export const OUTPUT_FORMATS = ['jsonl', 'csv', 'text'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

const FORMAT_OF_ENDING: Readonly<Record<string, OutputFormat>> = { '.jsonl': 'jsonl', '.csv': 'csv', '.txt': 'text' };

/** The format a file name asks for by its ending, or undefined where the ending is none of ours. */
export function formatOfFile(path: string): OutputFormat | undefined {
  return FORMAT_OF_ENDING[extname(path).toLowerCase()];
}
