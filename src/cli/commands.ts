/**
 * The commands, and where each is described in full. The list of them needs no more than this, so only the command that is asked for is loaded: a
 * user waits for `minigpt --help` as long as its modules take.
 */
import type { Command } from 'commander';

type CommandEntry = {
  name: string;
  /** As the list of commands shows them. */
  arguments: string;
  description: string;
  /** Adds arguments, options and what the command does. */
  complete: (command: Command) => Promise<void>;
};

const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'caption',
    arguments: '[paths...]',
    description: 'describe each image in a sentence',
    complete: async (command) => (await import('./run/caption.ts')).completeCaptionCommand(command),
  },
  {
    name: 'ask',
    arguments: '[paths...]',
    description: 'answer questions about each image',
    complete: async (command) => (await import('./run/ask.ts')).completeAskCommand(command),
  },
  {
    name: 'chat',
    arguments: '<image>',
    description: 'talk about one image',
    complete: async (command) => (await import('./chat/chat.ts')).completeChatCommand(command),
  },
  {
    name: 'match',
    arguments: '[paths...]',
    description: 'tell how well texts fit each image',
    complete: async (command) => (await import('./run/match.ts')).completeMatchCommand(command),
  },
  {
    name: 'models',
    arguments: '',
    description: 'list, show, fetch, import, check and remove models',
    complete: async (command) => (await import('./models/models.ts')).completeModelsCommand(command),
  },
];

/** Adds every command to the program: in full where `argv` names it. */
export async function addCommands(program: Command, argv: readonly string[]): Promise<void> {
  for (const { name, arguments: shown, description, complete } of COMMANDS) {
    if (argv.includes(name)) await complete(program.command(name).description(description));
    else program.command(`${name} ${shown}`.trimEnd()).description(description);
  }
}
