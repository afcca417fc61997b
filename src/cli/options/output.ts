/** The options that say where results go and what is told besides: shared by every command that writes records. */
import { Option, type Command } from 'commander';
import { OUTPUT_FORMATS, type OutputFormat } from '../../output/output-format.ts';
import { PROGRESS_CHOICES, type ProgressChoice } from '../terminal/progress.ts';

/** As typed. */
export type OutputOptions = {
  details?: boolean;
  output?: string;
  format?: OutputFormat;
  progress: ProgressChoice;
  quiet?: boolean;
  verbose?: boolean;
  debug?: boolean;
};

const ANSWER_DETAILS = 'model, prompt, token ids, finish reason, score and seconds';

/**
 * @param quietFlags `ask` has another use for `-q`.
 * @param details what `--details` adds
 */
export function addOutputOptions(
  command: Command,
  quietFlags: '-q, --quiet' | '--quiet',
  details: string = ANSWER_DETAILS,
): Command {
  return command
    .option('--details', `add ${details} to each record`)
    .option('-o, --output <file>', 'write to a new file (.jsonl, .csv or .txt) instead of standard output')
    .addOption(
      new Option('--format <format>', 'default: by the ending of --output, text on a terminal, else jsonl').choices(
        OUTPUT_FORMATS,
      ),
    )
    .addOption(
      new Option('--progress <how>', 'auto: a bar on a terminal, else a line every 10 s')
        .choices(PROGRESS_CHOICES)
        .default('auto'),
    )
    .addOption(new Option(quietFlags, 'no progress and no summary; errors are still told'))
    .addOption(new Option('-v, --verbose', 'tell more about the run').conflicts('quiet'))
    .option('--debug', 'show stack traces of errors');
}
