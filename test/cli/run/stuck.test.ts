/** What keeps native code busy for minutes, or for ever, does not keep the process: neither a signal nor the end of a run waits for it. */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, cpSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { makeMisfitPack } from '../../misfit-pack.ts';
import { BINARY, exitStatus, lastLine, minigpt, placePhoto, records, ROOT, start, temporaryFolder } from '../binary.ts';

const FIXTURES = join(ROOT, 'test/fixtures');

/** Masks that use each other twice each: 2 to the power of `depth` squares are painted. */
function maskedSquares(depth: number): string {
  const masks = Array.from({ length: depth }, (_, n) => `<mask id="m${n}">${square(n + 1)}${square(n + 1)}</mask>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="2000" height="2000">${masks.join('')}${square(0)}</svg>`;
}

function square(mask: number): string {
  return `<rect width="2000" height="2000" mask="url(#m${mask})"/>`;
}

/** How long the process may take after its last line; it would be minutes. */
const SOON_MS = 15_000;

let folder = '';

beforeAll(async () => {
  folder = temporaryFolder();
  placePhoto(join(folder, 'a.jpg'));
  writeFileSync(join(folder, 'stuck.svg'), maskedSquares(24));
  const { code } = await minigpt(folder, ['models', 'import', join(FIXTURES, 'hf-blip2-itm/model'), '--as', 'tiny']);
  expect(code).toBe(0);
});

beforeEach(() => {
  rmSync(join(folder, 'x.jsonl'), { force: true });
});

/** Follows a run: what it says, and how long it lives after its last line. */
class Followed {
  readonly child: ChildProcessWithoutNullStreams;
  stderr = '';
  stdout = '';
  #lastLine = performance.now();

  constructor(args: readonly string[]) {
    this.child = start(folder, args);
    this.child.stdin.end();
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#lastLine = performance.now();
    });
    onTestFinished(() => void this.child.kill('SIGKILL'));
  }

  /** Waits until stderr holds a text. */
  async says(text: string): Promise<void> {
    while (!this.stderr.includes(text)) await new Promise((resolve) => setImmediate(resolve));
  }

  /** The exit status, once the process has ended soon after its last line. */
  async endsSoon(): Promise<number> {
    const status = await exitStatus(this.child);
    expect(performance.now() - this.#lastLine).toBeLessThan(SOON_MS);
    return status;
  }
}

/** A file that nobody writes: who opens it waits for ever. Returns a way to wait until somebody does. */
function makeNeverOpening(path: string): () => Promise<void> {
  rmSync(path, { force: true });
  execFileSync('mkfifo', [path]);
  return async () => {
    for (;;) {
      try {
        // Only with a reader on the other side can it be opened so.
        const descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
        onTestFinished(() => closeSync(descriptor));
        return;
      } catch {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  };
}

const SIGNALS = [
  ['SIGINT', 130, 'interrupted'],
  ['SIGTERM', 143, 'terminated'],
] as const;

describe.skipIf(process.platform === 'win32')('while a picture is decoded for minutes', () => {
  test.each(SIGNALS)('%s ends caption with %i', async (signal, status, word) => {
    const run = new Followed(['caption', 'stuck.svg', 'a.jpg', '--verbose']);
    await run.says('model ready');
    run.child.kill(signal);
    expect(await run.endsSoon()).toBe(status);
    expect(lastLine(run.stderr)).toBe(`minigpt: ${word} before the first image was captioned.`);
  });

  test('a signal leaves the records before it', async () => {
    const run = new Followed(['ask', 'a.jpg', 'stuck.svg', '-q', 'Why?']);
    while (run.stdout === '') await new Promise((resolve) => setImmediate(resolve));
    run.child.kill('SIGINT');
    expect(await run.endsSoon()).toBe(130);
    expect(records(run.stdout)).toMatchObject([{ image: 'a.jpg' }]);
    expect(lastLine(run.stderr)).toMatch(/^minigpt: interrupted: 1 image answered, 1 left\..* start at stuck\.svg\.$/);
  });

  test('a signal ends match', async () => {
    const run = new Followed(['match', 'stuck.svg', '-t', 'a dog', '--model', 'tiny', '--verbose']);
    await run.says('model ready');
    run.child.kill('SIGTERM');
    expect(await run.endsSoon()).toBe(143);
  });

  test('a model that cannot be loaded ends the run all the same', async () => {
    makeMisfitPack(join(folder, 'other-width'), { hidden_size: 128 }, 'stated');
    const run = new Followed(['caption', 'stuck.svg', '--model', 'other-width']);
    expect(await run.endsSoon()).toBe(2);
    expect(lastLine(run.stderr)).toContain('and the rest of the pack needs');
  });

  test('a reader that has gone away ends the run all the same', async () => {
    const run = new Followed(['caption', 'a.jpg', 'a.jpg', 'stuck.svg', '--progress', 'none']);
    run.child.stdout.destroy();
    expect(await run.endsSoon()).toBe(0);
    expect(run.stderr).toBe('');
  });
});

describe.skipIf(process.platform === 'win32')('while native code waits for a file', () => {
  test.each(SIGNALS)('of the model, %s ends the run with %i', async (signal, status, word) => {
    const pack = join(folder, `never-${signal}`);
    cpSync(join(ROOT, 'models/nano'), pack, { recursive: true });
    const isOpened = makeNeverOpening(join(pack, 'decoder.onnx'));
    const run = new Followed(['caption', 'a.jpg', '--model', pack]);
    await isOpened();
    run.child.kill(signal);
    expect(await run.endsSoon()).toBe(status);
    expect(lastLine(run.stderr)).toBe(`minigpt: ${word} before the first image was captioned.`);
  });

  test('of the model, a signal ends chat', async () => {
    const pack = join(folder, 'never-chat');
    cpSync(join(ROOT, 'models/nano'), pack, { recursive: true });
    const isOpened = makeNeverOpening(join(pack, 'decoder.onnx'));
    const run = new Followed(['chat', 'a.jpg', '--model', pack]);
    await isOpened();
    run.child.kill('SIGINT');
    expect(await run.endsSoon()).toBe(130);
  });
});

test.skipIf(process.platform !== 'linux')('a signal ends a run whose reader reads nothing', async () => {
  const names = ['0.jpg', '1.jpg', '2.jpg'];
  for (const name of names) writeFileSync(join(folder, name), 'no image');
  // Of the 16 pages that the pipe holds one is left: a record with this question fits, and the next does not.
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const descriptor = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => closeSync(descriptor));
  writeSync(descriptor, Buffer.alloc(15 * 4096));
  const args = ['ask', ...names, '-q', 'why '.repeat(650), '--progress', 'none'];
  const run = spawn(process.execPath, [BINARY, ...args], { cwd: folder, stdio: ['ignore', descriptor, 'pipe'] });
  onTestFinished(() => void run.kill('SIGKILL'));
  let stderr = '';
  run.stderr?.setEncoding('utf8').on('data', (text: string) => {
    // Its record is written, and that of the next image is being written.
    if (stderr === '') run.kill('SIGTERM');
    stderr += text;
  });
  const [code, signal] = (await once(run, 'close')) as [number | null, string | null];
  expect(code ?? signal).toSatisfy((end) => end === 143 || end === 'SIGTERM');
  expect(lastLine(stderr)).toMatch(/^minigpt: terminated: 0 images answered, 1 failed, 2 left\./);
});
