import { Command, Option } from 'commander';
import { describe, expect, test } from 'vitest';
import { addHelpEnd, helpLayout, helpWidth } from '../../../src/cli/help/layout.ts';
import { helpOf } from './help-texts.ts';

describe('the width of help', () => {
  test.each([
    ['a pipe', {}, 80],
    ['a pipe of a terminal', { columns: 120 }, 80],
    ['a terminal', { isTTY: true, columns: 72 }, 72],
    ['a terminal of unknown width', { isTTY: true, columns: 0 }, 80],
    ['a wide terminal', { isTTY: true, columns: 200 }, 100],
    ['a very narrow terminal', { isTTY: true, columns: 12 }, 40],
  ])('%s', (_, stream, width) => {
    expect(helpWidth(stream)).toBe(width);
  });
});

function example(): Command {
  const command = new Command('draw')
    .configureHelp(helpLayout)
    .helpOption(false)
    .description('Draws what it is told to draw.')
    .argument('<subject...>', 'what to draw')
    .addOption(new Option('--colour <name>', 'the colour').choices(['red', 'green']).default('red'))
    .addOption(new Option('--style <name>', 'the style').choices(['flat', 'deep']).default(undefined, 'by subject'))
    .option('--frame', 'draw a frame around it, which helps those who want to hang the drawing on a wall');
  return addHelpEnd(
    command,
    ['draw a very long example that is not wrapped \\', '  because it is typed so'],
    ['A note.'],
  );
}

test('choices and defaults stand behind the description, in plain words', () => {
  expect(helpOf(example(), 80)).toBe(`Usage: draw [options] <subject...>

Draws what it is told to draw.

Arguments:
  subject          what to draw

Options:
  --colour <name>  the colour (choices: red, green; default: red)
  --style <name>   the style (choices: flat, deep; default: by subject)
  --frame          draw a frame around it, which helps those who want to hang
                   the drawing on a wall

A note.

Examples:
  draw a very long example that is not wrapped \\
    because it is typed so
`);
});

test('on a narrow terminal descriptions stand below', () => {
  expect(helpOf(example(), 40)).toContain(`
  --frame
      draw a frame around it, which
      helps those who want to hang the
      drawing on a wall

A note.
`);
});

test('a long usage line is wrapped', () => {
  const command = new Command('a-command-with-a-long-name').configureHelp(helpLayout).argument('<first>');
  expect(helpOf(command, 40)).toMatch(/^Usage: a-command-with-a-long-name\n {7}\[options\] <first>\n/);
});
