/**
 * The list of commands. Only the command that is used is loaded in full, so that `minigpt --help` appears quickly.
 */
import type { Command } from 'commander';

type CommandEntry = {
  name: string;
  /** As the list of commands shows them. */
  arguments: string;
  /** One line for the list of commands. */
  summary: string;
  /** Adds description, arguments, options and action. */
  complete: (command: Command) => Promise<void>;
};

const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'caption',
    arguments: '[paths...]',
    summary: 'write a description of each image',
    complete: async (command) => (await import('./run/caption.ts')).completeCaptionCommand(command),
  },
  {
    name: 'ask',
    arguments: '[paths...]',
    summary: 'answer questions about each image',
    complete: async (command) => (await import('./run/ask.ts')).completeAskCommand(command),
  },
  {
    name: 'chat',
    arguments: '<image>',
    summary: 'have a conversation about one image',
    complete: async (command) => (await import('./chat/chat.ts')).completeChatCommand(command),
  },
  {
    name: 'match',
    arguments: '[paths...]',
    summary: 'show how well texts fit each image',
    complete: async (command) => (await import('./run/match.ts')).completeMatchCommand(command),
  },
  {
    name: 'models',
    arguments: '',
    summary: 'list, show, download, import, check and remove models',
    complete: async (command) => (await import('./models/models.ts')).completeModelsCommand(command),
  },
];

/** Adds every command to the program; in full if `argv` names it. */
export async function addCommands(program: Command, argv: readonly string[]): Promise<void> {
  for (const { name, arguments: shown, summary, complete } of COMMANDS) {
    if (argv.includes(name)) await complete(program.command(name).summary(summary));
    else program.command(`${name} ${shown}`.trimEnd()).summary(summary);
  }
}
