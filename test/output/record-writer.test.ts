import { expect, test } from 'vitest';
import type { Destination } from '../../src/output/destination.ts';
import { formatOfFile } from '../../src/output/output-format.ts';
import { RecordWriter } from '../../src/output/record-writer.ts';

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

test('the destination is opened, and the header written, for the first record', async () => {
  const recorder = new Recorder();
  const writer = new RecordWriter('csv', columns, recorder);
  await writer.write({ schema: 1, image: 'a.jpg', caption: 'a' });
  await writer.write({ schema: 1, image: 'b.jpg', caption: 'b' });
  await writer.close();
  expect(recorder.calls).toEqual(['open', 'image,caption,error\r\n', 'a.jpg,a,\r\n', 'b.jpg,b,\r\n', 'close']);
});

test('a run without records leaves the destination alone', async () => {
  const recorder = new Recorder();
  await new RecordWriter('csv', columns, recorder).close();
  expect(recorder.calls).toEqual([]);
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
