import { describe, expect, test } from 'vitest';
import type { Destination } from '../../src/output/destination.ts';
import { formatOfFile } from '../../src/output/output-format.ts';
import type { RecordFormat } from '../../src/output/record-format.ts';
import { recordFormat, RecordWriter } from '../../src/output/record-writer.ts';
import type { OutputRecord } from '../../src/output/record.ts';

class Recorder implements Destination {
  readonly name = 'recorder';
  readonly calls: string[] = [];
  async open(): Promise<void> {
    this.calls.push('open');
  }
  async write(text: string): Promise<void> {
    this.calls.push(text);
  }
  async close(): Promise<void> {
    this.calls.push('close');
  }
}

const columns = { kind: 'caption', details: false } as const;
const a: OutputRecord = { schema: 1, image: 'a.jpg', caption: 'a' };
const b: OutputRecord = { schema: 1, image: 'b.jpg', caption: 'b' };

test('the destination is opened, and the header written, for the first record', async () => {
  const recorder = new Recorder();
  const writer = new RecordWriter(recordFormat('csv', columns), recorder);
  await writer.write([a]);
  await writer.write([b]);
  await writer.end();
  await writer.close();
  expect(recorder.calls).toEqual(['open', 'image,caption,error\r\n', 'a.jpg,a,\r\n', 'b.jpg,b,\r\n', 'close']);
});

test('the records of an image are written at once', async () => {
  const recorder = new Recorder();
  await new RecordWriter(recordFormat('text', columns), recorder).write([a, b]);
  expect(recorder.calls).toEqual(['open', 'a.jpg: a\nb.jpg: b\n']);
});

test('a run without records leaves the destination alone', async () => {
  const recorder = new Recorder();
  const writer = new RecordWriter(recordFormat('csv', columns), recorder);
  await writer.end();
  await writer.close();
  expect(recorder.calls).toEqual([]);
});

describe('a format with a footer', () => {
  const list: RecordFormat = {
    header: '<ul>\n',
    encode: (record) => `<li>${record.image}</li>\n`,
    footer: '</ul>\n',
  };

  test('has it once, behind the last record', async () => {
    const recorder = new Recorder();
    const writer = new RecordWriter(list, recorder);
    await writer.write([a]);
    await writer.write([b]);
    await writer.end();
    await writer.close();
    expect(recorder.calls.join('')).toBe('open<ul>\n<li>a.jpg</li>\n<li>b.jpg</li>\n</ul>\nclose');
  });

  test('lacks it where a run did not come to its end', async () => {
    const recorder = new Recorder();
    const writer = new RecordWriter(list, recorder);
    await writer.write([a]);
    await writer.close();
    expect(recorder.calls.join('')).toBe('open<ul>\n<li>a.jpg</li>\nclose');
  });
});

test.each([
  ['captions.jsonl', 'jsonl'],
  ['a.b/captions.CSV', 'csv'],
  ['captions.txt', 'text'],
  ['captions.json', undefined],
  ['captions', undefined],
])('the ending of %s asks for %s', (path, format) => {
  expect(formatOfFile(path)).toBe(format);
});
