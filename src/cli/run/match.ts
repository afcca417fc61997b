/** `minigpt match`: how well texts fit images, and which images fit a text best. */
import { InvalidArgumentError, type Command } from 'commander';
import { addInputOptions, collect } from '../options/input.ts';
import { addModelChoiceOptions } from '../options/model.ts';
import { addOutputOptions } from '../options/output.ts';
import type { MatchOptions } from './matching-run.ts';
import { wholeNumber } from '../options/numbers.ts';

export function completeMatchCommand(command: Command): void {
  addInputOptions(command)
    .option('-t, --text <text>', 'what an image may show; may be repeated', collectText)
    .option('--texts <file>', 'read more texts from a file, one per line')
    .option('--top <n>', 'only the n images that fit each text best, best first', wholeNumber(1));
  addModelChoiceOptions(command);
  addOutputOptions(command, '-q, --quiet', 'model and seconds (with --top: model and score)')
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], options: MatchOptions) => {
      const { runMatch } = await import('./matching-run.ts');
      process.exitCode = await runMatch(paths, options);
    });
}

function collectText(text: string, previous?: string[]): string[] {
  if (text.trim() === '') throw new InvalidArgumentError('A text must not be empty.');
  return collect(text, previous);
}

const EXAMPLES = `
itm is the probability that the text fits, itc the similarity of image and text from -1 to 1.

Examples:
  minigpt match photos/ -t "a cat" -t "a dog on a beach" --model blip2-itm-vit-g
  minigpt match photos/ --texts captions.txt -o scores.csv --model blip2-itm-vit-g
  minigpt match photos/ -t "a red car in the snow" --top 5 --model blip2-itm-vit-g`;
