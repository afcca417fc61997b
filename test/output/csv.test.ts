import { parse } from 'csv-parse/sync';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { csv } from '../../src/output/csv.ts';
import type { OutputRecord } from '../../src/output/record.ts';

const failed = {
  schema: 1,
  image: 'b.jpg',
  error: { code: 'empty-file', message: 'the file is empty.' },
} as const satisfies OutputRecord;

describe('columns', () => {
  test('caption', () => {
    const format = csv({ kind: 'caption', details: false });
    expect(format.header).toBe('image,caption,error\r\n');
    expect(format.encode({ schema: 1, image: 'a.jpg', caption: 'a dog' })).toBe('a.jpg,a dog,\r\n');
    expect(format.encode(failed)).toBe('b.jpg,,empty-file: the file is empty.\r\n');
  });

  test('ask', () => {
    const format = csv({ kind: 'ask', details: false });
    expect(format.header).toBe('image,question,answer,error\r\n');
    expect(format.encode({ schema: 1, image: 'a.jpg', question: 'Who?', answer: 'two, or more' })).toBe(
      'a.jpg,Who?,"two, or more",\r\n',
    );
    expect(format.encode({ ...failed, question: 'Who?' })).toBe('b.jpg,Who?,,empty-file: the file is empty.\r\n');
  });

  test('match, and with ranks', () => {
    const match = { schema: 1, image: 'a.jpg', text: 'a dog', itm: 0.97, itc: -0.5 } as const;
    const format = csv({ kind: 'match', details: true });
    expect(format.header).toBe('image,text,itm,itc,error,model,seconds,warnings\r\n');
    expect(format.encode({ ...match, model: 'm@0', seconds: 0.5 })).toBe('a.jpg,a dog,0.97,-0.5,,m@0,0.5,\r\n');
    expect(format.encode({ ...failed, text: 'a dog' })).toBe('b.jpg,a dog,,,empty-file: the file is empty.,,,\r\n');
    const ranked = csv({ kind: 'rank', details: true });
    expect(ranked.header).toBe('image,text,rank,itm,itc,error,model,score,warnings\r\n');
    expect(ranked.encode({ ...match, rank: 1, score: 3 })).toBe('a.jpg,a dog,1,0.97,-0.5,,,3,\r\n');
  });

  test('details follow on the right', () => {
    const format = csv({ kind: 'caption', details: true });
    expect(format.header).toBe(
      'image,caption,error,model,prompt,tokenIds,finishReason,score,seconds,beamScore,warnings\r\n',
    );
    const details = {
      model: 'nano@0123456789ab',
      prompt: '<image>',
      tokenIds: [5, 6, 2],
      finishReason: 'stop' as const,
      score: -1.5,
      seconds: 0.25,
    };
    expect(format.encode({ schema: 1, image: 'a.jpg', caption: 'a dog', ...details })).toBe(
      'a.jpg,a dog,,nano@0123456789ab,<image>,5 6 2,stop,-1.5,0.25,,\r\n',
    );
    expect(format.encode({ schema: 1, image: 'a.jpg', caption: 'a dog', ...details, beamScore: -0.5 })).toBe(
      'a.jpg,a dog,,nano@0123456789ab,<image>,5 6 2,stop,-1.5,0.25,-0.5,\r\n',
    );
    const damaged = { schema: 1, image: 'a.jpg', caption: 'a dog', ...details, warnings: ['damaged'] } as const;
    expect(format.encode(damaged)).toBe('a.jpg,a dog,,nano@0123456789ab,<image>,5 6 2,stop,-1.5,0.25,,damaged\r\n');
    expect(format.encode(failed)).toBe('b.jpg,,empty-file: the file is empty.,,,,,,,,\r\n');
  });
});

test('the scores of choices are one cell of JSON, behind the details', () => {
  const scores = [{ choice: 'a "b", c', score: -1, logProbability: -2, tokens: 2, probability: 1 }];
  const answered = { schema: 1, image: 'a.jpg', question: 'Who?', answer: 'a "b", c', scores } as const;
  const format = csv({ kind: 'ask', details: false, scores: true });
  expect(format.header).toBe('image,question,answer,error,scores\r\n');
  const [row] = parse<{ answer: string; scores: string }>(format.header + format.encode(answered), { columns: true });
  expect(row?.answer).toBe('a "b", c');
  expect(JSON.parse(row?.scores ?? '')).toEqual(scores);
  expect(format.encode({ ...failed, question: 'Who?' })).toBe('b.jpg,Who?,,empty-file: the file is empty.,\r\n');
  expect(csv({ kind: 'ask', details: true, scores: true }).header).toBe(
    'image,question,answer,error,model,prompt,tokenIds,finishReason,score,seconds,beamScore,warnings,scores\r\n',
  );
});

test('any file name and caption reads back as it was', () => {
  const format = csv({ kind: 'caption', details: false });
  const anyText = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', ';', 'é', '猫', '=', "'") });
  fc.assert(
    fc.property(fc.array(fc.tuple(anyText, anyText), { minLength: 1 }), (pairs) => {
      const lines = pairs.map(([image, caption]) => format.encode({ schema: 1, image: `x${image}`, caption }));
      const rows = parse(format.header + lines.join(''), { columns: true, record_delimiter: '\r\n' });
      expect(rows).toEqual(pairs.map(([image, caption]) => ({ image: `x${image}`, caption, error: '' })));
    }),
  );
});
