/**
 * Nothing is written beside the output, and nothing is sent. ONNX Runtime's own telemetry would leave a device id in the home folder, a database
 * of events, and logs in the temporary folder, so a home and a temporary folder that were empty show whether it is off.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { BINARY, placePhoto, ROOT, temporaryFolder } from '../binary.ts';

const GOLDEN = join(ROOT, 'test/fixtures/nano');

/** Each loads the library in another place: in two worker threads, in the thread of a conversation, on the main thread. */
const commands: [name: string, args: string[], input: string][] = [
  ['caption', ['caption', 'photos', '--threads', '2', '-o', 'captions.jsonl'], ''],
  ['chat', ['chat', 'photos/00.jpg', '--max-new-tokens', '4'], 'What is this?\n'],
  ['models verify', ['models', 'verify', 'nano', '--golden', GOLDEN], ''],
];

const hasStrace = spawnSync('strace', ['-V']).status === 0;

function emptyPlace(): { folder: string; env: NodeJS.ProcessEnv } {
  const folder = temporaryFolder();
  for (const name of ['home', 'temporary', 'work']) mkdirSync(join(folder, name));
  for (let index = 0; index < 40; index++)
    placePhoto(join(folder, 'work/photos', `${String(index).padStart(2, '0')}.jpg`), index);
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: join(folder, 'home'), TMPDIR: join(folder, 'temporary') };
  // The tests' own process has it set, and a child that inherits it would prove nothing.
  for (const name of ['ORT_DISABLE_TELEMETRY', 'MINIGPT_HOME', 'MINIGPT_MODEL', 'XDG_CACHE_HOME', 'XDG_DATA_HOME'])
    delete env[name];
  return { folder, env };
}

async function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv, input: string) {
  const child = spawn(command, args, { cwd, env });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stderr };
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted();
}

test.each(commands)('%s leaves nothing but its output', async (_, args, input) => {
  const { folder, env } = emptyPlace();
  const { code, stderr } = await run(process.execPath, [BINARY, ...args], join(folder, 'work'), env, input);
  // 1 where one of the recorded answers differs, which is no matter here.
  expect([0, 1], stderr).toContain(code);
  expect(filesBelow(join(folder, 'home'))).toEqual([]);
  expect(filesBelow(join(folder, 'temporary'))).toEqual([]);
  const left = filesBelow(join(folder, 'work')).filter((path) => !path.startsWith('photos'));
  expect(left).toEqual(args.includes('captions.jsonl') ? ['captions.jsonl'] : []);
});

describe.skipIf(!hasStrace)('seen by a tracer', () => {
  test.each(commands)('%s opens no socket and creates no other file', async (_, args, input) => {
    const { folder, env } = emptyPlace();
    const trace = join(folder, 'trace');
    const tracer = ['-f', '-qq', '-e', 'trace=socket,connect,openat,mkdir,mkdirat,rename', '-o', trace];
    const work = join(folder, 'work');
    const { code, stderr } = await run('strace', [...tracer, process.execPath, BINARY, ...args], work, env, input);
    expect([0, 1], stderr).toContain(code);
    const calls = readFileSync(trace, 'utf8').split('\n');
    // Node talks to its own threads through pairs of local sockets, which are another call.
    expect(calls.filter((call) => /\b(?:socket|connect)\(/.test(call))).toEqual([]);
    const created = calls.filter((call) => /O_CREAT|\bmkdir|\brename/.test(call) && !call.includes('"/dev/null"'));
    const names = created.map((call) => /"([^"]*)"/.exec(call)?.[1]);
    expect(new Set(names)).toEqual(new Set(args.includes('captions.jsonl') ? ['captions.jsonl'] : []));
  });
});
