/** `minigpt chat`: a conversation about one image. */
import { Option, type Command } from 'commander';
import { addTokenOptions } from '../options/decoding.ts';
import { addDecodingLimits } from '../options/input.ts';
import { addLengthOptions, addModelOption } from '../options/model.ts';
import { PRESET_HELP } from '../options/preset.ts';
import type { ChatFlags } from './run.ts';

export function completeChatCommand(command: Command): void {
  command.argument('<image>', 'the image to talk about');
  addLengthOptions(addModelOption(command).option('--preset <name>', PRESET_HELP));
  addDecodingLimits(addTokenOptions(command))
    .option('--show-prompt', 'write the exact text the model reads to stderr, before each answer')
    .option('--details', 'add model, prompt, token ids, finish reason, score and seconds to each record')
    .addOption(new Option('--format <format>', 'default: text on a terminal, else jsonl').choices(['text', 'jsonl']))
    .option('--debug', 'show stack traces of errors')
    .addHelpText('after', EXAMPLES)
    .action(async (image: string, flags: ChatFlags) => {
      const { runChat } = await import('./run.ts');
      process.exitCode = await runChat(image, flags);
    });
}

const EXAMPLES = `
On a terminal, type questions; /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves.
From a pipe, every line is a question.

Examples:
  minigpt chat photos/dog.jpg
  minigpt chat photos/dog.jpg --sample --temperature 0.7
  minigpt chat photos/dog.jpg < questions.txt > answers.jsonl`;
