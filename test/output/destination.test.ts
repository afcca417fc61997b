import { appendFileSync, chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { OutputError } from '../../src/errors.ts';
import { ClosedPipe, FileDestination, refuseUnusableTarget, StreamDestination } from '../../src/output/destination.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'minigpt-output-'));
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

/** A stream whose writes fail with a system error. */
function brokenStream(code: string): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error(`write ${code}`), { code })),
  });
}

describe('a stream', () => {
  test('a reader that has gone away is a closed pipe, not a failure', async () => {
    const destination = new StreamDestination(brokenStream('EPIPE'), 'standard output');
    await expect(destination.write('x\n')).rejects.toBeInstanceOf(ClosedPipe);
    await expect(destination.write('y\n')).rejects.toBeInstanceOf(ClosedPipe);
  });

  test('a full disk says so', async () => {
    const destination = new StreamDestination(brokenStream('ENOSPC'), 'standard output');
    await expect(destination.write('x\n')).rejects.toThrow(
      new OutputError('standard output', 'cannot write: the disk is full.'),
    );
  });

  test('a write waits for a slow reader', async () => {
    const untaken: (() => void)[] = [];
    const slow = new Writable({ write: (_chunk, _encoding, done) => void untaken.push(done) });
    const destination = new StreamDestination(slow, 'standard output');
    let written = false;
    const writing = destination.write('a line\n').then(() => (written = true));
    await Promise.resolve();
    expect(written).toBe(false);
    untaken.shift()?.();
    await writing;
    expect(written).toBe(true);
  });
});

describe('a file', () => {
  test('holds each line as soon as it is written', async () => {
    const path = join(folder, 'x.jsonl');
    const destination = new FileDestination(path);
    await destination.open();
    await destination.write('one\n');
    expect(readFileSync(path, 'utf8')).toBe('one\n');
    await destination.write('zwei ü\n');
    await destination.close();
    expect(readFileSync(path, 'utf8')).toBe('one\nzwei ü\n');
  });

  test('is refused when it is not empty, and stays as it is', async () => {
    const path = join(folder, 'x.jsonl');
    writeFileSync(path, 'precious\n');
    const refusal = new OutputError(path, 'the file exists and is not empty. Choose another name or move it away.');
    await expect(refuseUnusableTarget(path)).rejects.toThrow(refusal);
    await expect(new FileDestination(path).open()).rejects.toThrow(refusal);
    expect(readFileSync(path, 'utf8')).toBe('precious\n');
  });

  test('may exist when it is empty', async () => {
    const path = join(folder, 'x.jsonl');
    writeFileSync(path, '');
    await expect(refuseUnusableTarget(path)).resolves.toBeUndefined();
  });

  test('is refused when it is a folder, or in no folder; nothing is made', async () => {
    await expect(refuseUnusableTarget(folder)).rejects.toThrow('this is a folder');
    const path = join(folder, 'missing', 'x.csv');
    await expect(refuseUnusableTarget(path)).rejects.toThrow('does not exist');
    expect(existsSync(join(folder, 'missing'))).toBe(false);
  });

  test.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'is refused when its folder may not be written to',
    async () => {
      chmodSync(folder, 0o500);
      await expect(refuseUnusableTarget(join(folder, 'x.csv'))).rejects.toThrow('permission denied');
      chmodSync(folder, 0o700);
    },
  );

  test('loses the part of a line that a full disk still took', async () => {
    const path = join(folder, 'x.jsonl');
    const destination = new FileDestination(path);
    await destination.open();
    await destination.write('complete\n');
    // The next write takes four bytes; then the disk is full.
    const handle = await open(path, 'r');
    const fileHandles = Object.getPrototypeOf(handle) as typeof handle;
    await handle.close();
    vi.spyOn(fileHandles, 'write')
      .mockImplementationOnce(async (bytes) => {
        appendFileSync(path, Buffer.from(bytes).subarray(0, 4));
        return { bytesWritten: 4, buffer: bytes };
      })
      .mockRejectedValueOnce(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
    await expect(destination.write('incomplete\n')).rejects.toThrow('the disk is full');
    expect(readFileSync(path, 'utf8')).toBe('complete\n');
    vi.restoreAllMocks();
    await destination.close();
  });

  test.skipIf(!existsSync('/dev/full'))('a device that is full is an error', async () => {
    const destination = new FileDestination('/dev/full');
    await destination.open();
    await expect(destination.write('x\n')).rejects.toThrow('/dev/full: cannot write: the disk is full.');
    await destination.close();
  });
});
