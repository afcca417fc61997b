import { describe, expect, test } from 'vitest';
import { completeProgram, everyCommand, helpOf, sectionsOf } from './help-texts.ts';

const commands = everyCommand(await completeProgram());

test('these are all commands', () => {
  expect(commands.map(([name]) => name.slice('minigpt '.length))).toEqual([
    '',
    'caption',
    'ask',
    'chat',
    'match',
    'models',
    ...['list', 'show', 'pull', 'import', 'verify', 'rm'].map((name) => `models ${name}`),
    'help',
  ]);
});

describe.each(commands)('the help of %s', (name, command) => {
  const sections = sectionsOf(helpOf(command, 80));

  test('says what the command does, in a sentence', () => {
    expect(command.description()).toMatch(/^[A-Z].*\.$/);
  });

  test('lists each option once, under a heading', () => {
    const listed = [...sections].flatMap(([heading, lines]) => (heading === 'Examples' ? [] : lines));
    const flags = listed.flatMap((line) => /^-.*?(?= {2}|$)/.exec(line) ?? []);
    const expected = [...command.options.map((option) => option.flags), '-h, --help'];
    expect(flags.toSorted()).toEqual(expected.toSorted());
  });

  test('groups the options where there are many', () => {
    if (command.options.length > 5) expect(sections.has('Options')).toBe(false);
    expect(sections.get('General')?.join('\n')).toContain('-h, --help');
  });

  test('has examples of this command', () => {
    const examples = sections.get('Examples') ?? [];
    expect(examples.some((line) => line.includes(`${name} `))).toBe(true);
  });

  test('fits into 80 columns', () => {
    expect(
      helpOf(command, 80)
        .split('\n')
        .filter((line) => line.length > 80),
    ).toEqual([]);
  });

  test.each([40, 60, 100])('is wrapped to %i columns, but for the examples', (width) => {
    const help = helpOf(command, width);
    const [text = ''] = help.split('\nExamples:\n');
    expect(text.split('\n').filter((line) => line.length > width)).toEqual([]);
    expect(sectionsOf(help).get('Examples')).toEqual(sections.get('Examples'));
  });
});
