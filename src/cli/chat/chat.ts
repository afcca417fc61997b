/** `minigpt chat`: a conversation about one image. */
import { Option, type Command } from 'commander';
import { GROUP } from '../help/groups.ts';
import { addHelpEnd } from '../help/layout.ts';
import { addPresetAndLengthOptions, addTokenOptions } from '../options/decoding.ts';
import { addDecodingLimits } from '../options/input.ts';
import { addModelOptions, addShowPromptOption } from '../options/model.ts';
import type { ChatFlags } from './run.ts';

export function completeChatCommand(command: Command): void {
  command
    .description('Has a conversation about one image. The model remembers earlier questions and answers.')
    .argument('<image>', 'the image to talk about')
    .optionsGroup(GROUP.images);
  addDecodingLimits(command);
  addTokenOptions(addPresetAndLengthOptions(addModelOptions(command)))
    .optionsGroup(GROUP.output)
    .addOption(
      new Option('--format <format>', 'format of the answers')
        .choices(['text', 'jsonl'])
        .default(undefined, 'text on a terminal, jsonl elsewhere'),
    )
    .option('--details', 'add model, prompt, token ids, finish reason, score and seconds to each record');
  addShowPromptOption(command).option('--debug', 'show stack traces of errors');
  addHelpEnd(command, EXAMPLES, NOTES).action(async (image: string, flags: ChatFlags) => {
    const { runChat } = await import('./run.ts');
    process.exitCode = await runChat(image, flags);
  });
}

const NOTES = [
  'On a terminal, type a question and press Enter. /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves.',
  'From a pipe or a file, every line is a question.',
];

const EXAMPLES = [
  'minigpt chat photos/dog.jpg',
  'minigpt chat photos/dog.jpg --sample --temperature 0.7',
  'minigpt chat photos/dog.jpg < questions.txt > answers.jsonl',
];
