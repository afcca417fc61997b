import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ChatRecord } from '../../../src/cli/chat/talk.ts';
import { saveTranscript } from '../../../src/cli/chat/transcript.ts';
import { OutputError, UsageError } from '../../../src/errors.ts';
import { records, temporaryFolder } from '../binary.ts';

const said: ChatRecord[] = [
  { schema: 1, image: 'a.jpg', question: 'What?', answer: 'a dog\n\u001b[2Jruns' },
  { schema: 1, image: 'a.jpg', question: 'Where?', answer: 'in the', stopped: true },
  { schema: 1, image: 'b\n.jpg', question: 'And here?', answer: '' },
];

test('a text has a heading for each image and cannot drive a terminal', async () => {
  const path = join(temporaryFolder(), 'talk.TXT');
  await saveTranscript(path, said);
  expect(readFileSync(path, 'utf8')).toBe(
    'a.jpg\n\n> What?\na dog\n\\x1b[2Jruns\n\n> Where?\nin the (stopped)\n\nb\\n.jpg\n\n> And here?\n\n',
  );
});

test('JSON Lines hold the records', async () => {
  const path = join(temporaryFolder(), 'talk.jsonl');
  await saveTranscript(path, said);
  expect(records(readFileSync(path, 'utf8'))).toEqual(said);
});

test('a file that holds something is not overwritten', async () => {
  const path = join(temporaryFolder(), 'talk.txt');
  writeFileSync(path, 'mine');
  await expect(saveTranscript(path, said)).rejects.toThrow(OutputError);
  expect(readFileSync(path, 'utf8')).toBe('mine');
});

test.each(['talk', 'talk.csv', '.jsonl'])('%s does not say how to save', async (name) => {
  await expect(saveTranscript(join(temporaryFolder(), name), said)).rejects.toThrow(/Use \.txt or \.jsonl\.$/);
});

test('there is nothing to save before the first answer', async () => {
  await expect(saveTranscript(join(temporaryFolder(), 'talk.txt'), [])).rejects.toThrow(UsageError);
});
