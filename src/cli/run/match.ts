/** `minigpt match`: how well texts fit images, and which images fit a text best. */
import { InvalidArgumentError, type Command } from 'commander';
import { GROUP } from '../help/groups.ts';
import { addHelpEnd } from '../help/layout.ts';
import { addInputOptions, collect } from '../options/input.ts';
import { addBatchModelOptions } from '../options/model.ts';
import { addOutputOptions, OUTPUT_NOTE } from '../options/output.ts';
import type { MatchOptions } from './matching-run.ts';
import { wholeNumber } from '../options/numbers.ts';

export function completeMatchCommand(command: Command): void {
  command.description('Shows how well texts fit each image, or finds the images that fit a text best.');
  addInputOptions(command)
    .optionsGroup(GROUP.texts)
    .option('-t, --text <text>', 'a text that may fit the images; may be repeated', collectText)
    .option('--texts <file>', 'read more texts from this file, one per line')
    .option('--top <n>', 'only write the n images that fit each text best, best first', wholeNumber(1));
  addBatchModelOptions(command);
  addOutputOptions(command, '-q, --quiet', 'model and seconds (with --top: model and score)');
  addHelpEnd(command, EXAMPLES, NOTES).action(async (paths: string[], options: MatchOptions) => {
    const { runMatch } = await import('./matching-run.ts');
    process.exitCode = await runMatch(paths, options);
  });
}

function collectText(text: string, previous?: string[]): string[] {
  if (text.trim() === '') throw new InvalidArgumentError('A text must not be empty.');
  return collect(text, previous);
}

const NOTES = [
  'Each result has two numbers. itm is the probability that the text fits the image. itc is the similarity of image and text, from -1 to 1.',
  'The model needs matching heads, as blip2-itm-vit-g has them. The built-in model nano has none.',
  OUTPUT_NOTE,
];

const EXAMPLES = [
  'minigpt models pull blip2-itm-vit-g',
  'minigpt match photos/ -t "a cat" -t "a dog on a beach" --model blip2-itm-vit-g',
  'minigpt match photos/ --texts texts.txt -o scores.csv --model blip2-itm-vit-g',
  'minigpt match photos/ -t "a red car" --top 5 --model blip2-itm-vit-g',
];
