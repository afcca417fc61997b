/**
 * How help looks: options under headings, text wrapped to the terminal, examples as they are typed.
 *
 * commander does the rest. Its own layout does not wrap text on a narrow terminal, and it shows choices as JSON.
 */
import { Help, type Command, type HelpConfiguration } from 'commander';

/** Wider lines are hard to read. */
const MOST_COLUMNS = 100;
/** Narrower terminals wrap lines themselves. */
const LEAST_COLUMNS = 40;
/** For a pipe or a file, and for a terminal that does not say how wide it is. */
const USUAL_COLUMNS = 80;

/** A description with less room than this goes below its term instead of next to it. */
const LEAST_ROOM = 28;
const INDENT = 2;
const DEEP_INDENT = 6;

/** The width of help on this stream. */
export function helpWidth({ isTTY, columns }: { isTTY?: boolean; columns?: number }): number {
  const width = isTTY === true && columns !== undefined && columns > 0 ? columns : USUAL_COLUMNS;
  return Math.min(Math.max(width, LEAST_COLUMNS), MOST_COLUMNS);
}

export const helpLayout: HelpConfiguration = {
  minWidthToWrap: 1,

  commandUsage(this: Help, command) {
    const title = 'Usage: ';
    const usage = Help.prototype.commandUsage.call(this, command);
    const room = (this.helpWidth ?? USUAL_COLUMNS) - title.length;
    return indented(this.boxWrap(usage, room), title.length).trimStart();
  },

  /** Name and arguments. That a command has options goes without saying. */
  subcommandTerm(this: Help, command) {
    return Help.prototype.subcommandTerm.call(this, command).replace(' [options]', '');
  },

  /** A default may be described without being set, where it depends on something else. */
  optionDescription({ description, argChoices, defaultValue, defaultValueDescription, required }) {
    const usual =
      defaultValueDescription ?? (required && defaultValue !== undefined ? String(defaultValue) : undefined);
    const facts = [
      ...(argChoices === undefined ? [] : [`choices: ${argChoices.join(', ')}`]),
      ...(usual === undefined ? [] : [`default: ${usual}`]),
    ];
    return facts.length === 0 ? description : `${description} (${facts.join('; ')})`;
  },

  formatItem(this: Help, term, termWidth, description, helper) {
    const width = this.helpWidth ?? USUAL_COLUMNS;
    const isRoomBeside = width - termWidth - 2 * INDENT >= LEAST_ROOM;
    if (isRoomBeside) return Help.prototype.formatItem.call(this, term, termWidth, description, helper);
    const below = indented(helper.boxWrap(description, width - DEEP_INDENT), DEEP_INDENT);
    return `${' '.repeat(INDENT)}${term}\n${below}`;
  },
};

/**
 * Adds the end of a command's help.
 *
 * @param examples command lines, shown as they are; a long one is continued with a backslash
 * @param notes paragraphs above the examples, wrapped like all text
 */
export function addHelpEnd(command: Command, examples: readonly string[], notes: readonly string[] = []): Command {
  return command.addHelpText('after', ({ error }) => {
    const output = command.configureOutput();
    const width = (error ? output.getErrHelpWidth?.() : output.getOutHelpWidth?.()) ?? USUAL_COLUMNS;
    const helper = command.createHelp();
    const wrapped = notes.map((note) => `\n${helper.boxWrap(note, width)}\n`).join('');
    return `${wrapped}\nExamples:\n${indented(examples.join('\n'), INDENT)}`;
  });
}

function indented(text: string, columns: number): string {
  return text.replaceAll(/^/gm, ' '.repeat(columns));
}
