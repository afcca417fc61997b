import type { WriteStream } from 'node:tty';
import { describe, expect, test } from 'vitest';
import { describeDownload, DownloadProgress } from '../../../src/cli/models/download-progress.ts';
import { Terminal } from '../../../src/cli/terminal/terminal.ts';
import { FakeTerminal, Recorder } from '../terminal/screen.ts';

test.each([
  [0, 10_000, 0, '0 bytes of 10.0 kB'],
  [2_000_000, 10_000_000, 4, '2.0 MB of 10.0 MB, 500.0 kB/s, 16.0 s left'],
  [12, 10, 1, '12 bytes of 10 bytes, 12 bytes/s, 0.0 s left'],
])('%i of %i bytes after %i s read %j', (done, planned, seconds, text) => {
  expect(describeDownload(done, planned, seconds)).toBe(text);
});

describe('on a terminal', () => {
  test('the last line shows where the download is, below the messages', () => {
    const screen = new FakeTerminal(60);
    const terminal = new Terminal(screen);
    let now = 0;
    const progress = new DownloadProgress(terminal, screen.asTty(), () => now);
    progress.plan(1000);
    progress.start('config.json', 0, 1000);
    now = 1000;
    progress.advance(500);
    expect(screen.rows).toEqual(['500 bytes of 1.0 kB, 500 bytes/s, 1.0 s left  config.json']);
    progress.note('a message');
    now = 1050;
    progress.advance(1);
    expect(screen.rows).toEqual(['minigpt: a message', '']);
    now = 1100;
    progress.advance(1);
    expect(screen.rows).toEqual(['minigpt: a message', '502 bytes of 1.0 kB, 456 bytes/s, 1.1 s left  config.json']);
    progress.stop();
    expect(screen.rows).toEqual(['minigpt: a message', '']);
  });

  test('a line is cut to the width, and names of others cannot move the cursor', () => {
    const screen = new FakeTerminal(40);
    let now = 0;
    const progress = new DownloadProgress(new Terminal(screen), screen.asTty(), () => now);
    progress.plan(1000);
    progress.start('a\u001b[2Jb'.padEnd(80, 'x'), 0, 1000);
    now = 1000;
    progress.advance(500);
    expect(screen.rows[0]).toHaveLength(39);
    expect(screen.text).not.toContain('\u001b[2J');
  });
});

describe('elsewhere', () => {
  test('a line is written every ten seconds', () => {
    const stream = new Recorder();
    let now = 0;
    const progress = new DownloadProgress(new Terminal(stream), stream as unknown as WriteStream, () => now);
    progress.plan(1_000_000);
    progress.start('model.safetensors', 0, 1_000_000);
    for (; now < 25_000; now += 1000) progress.advance(10_000);
    expect(stream.lines).toEqual([
      'minigpt: 110.0 kB of 1.0 MB, 11.0 kB/s, 1 min 21 s left  model.safetensors',
      'minigpt: 210.0 kB of 1.0 MB, 10.5 kB/s, 1 min 15 s left  model.safetensors',
    ]);
  });

  test('a download that goes on says from where', () => {
    const stream = new Recorder();
    const progress = new DownloadProgress(new Terminal(stream), stream as unknown as WriteStream);
    progress.plan(700);
    progress.start('model.safetensors', 300, 1000);
    expect(stream.lines).toEqual(['minigpt: model.safetensors: continuing at 300 bytes of 1.0 kB']);
  });
});
