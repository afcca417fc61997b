/** The options that say where results go, and what else is shown. Every command that writes records has them. */
import { Option, type Command } from 'commander';
import { OUTPUT_FORMATS, type OutputFormat } from '../../output/output-format.ts';
import { GROUP } from '../help/groups.ts';
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
 * @param quietFlags `ask` uses `-q` for its questions
 * @param details what `--details` adds
 */
export function addOutputOptions(
  command: Command,
  quietFlags: '-q, --quiet' | '--quiet',
  details: string = ANSWER_DETAILS,
): Command {
  command
    .optionsGroup(GROUP.output)
    .option('-o, --output <file>', 'write to this new file (.jsonl, .csv or .txt) instead of standard output')
    .addOption(
      new Option('--format <format>', 'format of the results').choices(OUTPUT_FORMATS).default(undefined, USUAL_FORMAT),
    )
    .option('--details', `add ${details} to each record`);
  return command
    .optionsGroup(GROUP.general)
    .addOption(
      new Option(
        '--progress <how>',
        'how to show progress; auto means a bar on a terminal, elsewhere a line every 10 s',
      )
        .choices(PROGRESS_CHOICES)
        .default('auto'),
    )
    .addOption(new Option(quietFlags, 'show no progress and no summary; errors are still shown'))
    .addOption(new Option('-v, --verbose', 'show more messages').conflicts('quiet'))
    .option('--debug', 'show stack traces of errors');
}

const USUAL_FORMAT = 'from the ending of --output, else text on a terminal and jsonl elsewhere';

/** Where a command writes, for the end of its help. */
export const OUTPUT_NOTE =
  'Results go to standard output or to the file of --output. Progress, messages and a summary go to standard error.';
