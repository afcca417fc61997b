import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FileBytes } from '../../../src/importer/read/file-bytes.ts';

const directory = mkdtempSync(join(tmpdir(), 'minigpt-bytes-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('the bytes of a file', () => {
  test('are read from any position, at once or later', async () => {
    const path = join(directory, 'five');
    await writeFile(path, Uint8Array.of(1, 2, 3, 4, 5));
    const file = await FileBytes.open(path);
    expect(file.size).toBe(5);
    expect([...(await file.read(1, 3))]).toEqual([2, 3, 4]);
    expect([...file.readNow(2, 3)]).toEqual([3, 4, 5]);
    expect(await file.read(5, 0)).toHaveLength(0);
    await file.close();
  });

  test('that a file does not have are an error before memory is taken for them', async () => {
    const path = join(directory, 'short');
    await writeFile(path, 'abc');
    const file = await FileBytes.open(path);
    const truncated = expect.objectContaining({ fault: 'truncated', path });
    await expect(file.read(1, 2 ** 52)).rejects.toThrow(truncated);
    await expect(file.read(3, 1)).rejects.toThrow(truncated);
    expect(() => file.readNow(1, 2 ** 52)).toThrow(truncated);
    await file.close();
  });

  test('of a file that was cut since are an error', async () => {
    const path = join(directory, 'cut');
    await writeFile(path, 'abc');
    const file = await FileBytes.open(path);
    await writeFile(path, 'a');
    await expect(file.read(0, 3)).rejects.toThrow('2 bytes are expected at byte 1, but the file ends before');
    expect(() => file.readNow(0, 3)).toThrow('2 bytes are expected at byte 1, but the file ends before');
    await file.close();
  });

  test.skipIf(process.platform === 'win32')('of a named pipe are not waited for', async () => {
    const path = join(directory, 'pipe');
    execFileSync('mkfifo', [path]);
    await expect(FileBytes.open(path)).rejects.toThrow('this is not a file');
  });
});
