import { Command } from 'commander';
import { expect, test } from 'vitest';
import { addCommands } from '../../src/cli/commands.ts';

async function commandsFor(argv: readonly string[]): Promise<Map<string, Command>> {
  const program = new Command('minigpt');
  await addCommands(program, argv);
  return new Map(program.commands.map((command) => [command.name(), command]));
}

function argumentsOf(command: Command | undefined): unknown[] | undefined {
  return command?.registeredArguments.map((argument) => [argument.name(), argument.required, argument.variadic]);
}

const listed = await commandsFor(['--help']);

test('the list of commands loads none of them', () => {
  expect([...listed.keys()]).toEqual(['caption', 'ask', 'chat', 'match', 'models']);
  for (const command of listed.values()) expect([command.options, command.commands]).toEqual([[], []]);
});

test.each([...listed.keys()])('%s is listed with the arguments that it takes', async (name) => {
  const asked = (await commandsFor(['help', name])).get(name);
  expect(argumentsOf(listed.get(name))).toEqual(argumentsOf(asked));
  expect((asked?.options.length ?? 0) + (asked?.commands.length ?? 0)).toBeGreaterThan(0);
});
