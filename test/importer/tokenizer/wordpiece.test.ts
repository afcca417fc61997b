import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { convertWordPiece } from '../../../src/importer/tokenizer/wordpiece.ts';

const PATH = 'bert-base-uncased/vocab.txt';
const LINES = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', '##b'];

describe('vocab.txt', () => {
  test.each([
    ['with a line feed at the end', `${LINES.join('\n')}\n`],
    ['without one', LINES.join('\n')],
    ['with the line ends of Windows', `${LINES.join('\r\n')}\r\n`],
  ])('gives ids in the order of its lines, %s', (_, text) => {
    const { tokenizer } = convertWordPiece(text, PATH, {});
    expect(tokenizer).toMatchObject({
      model: { vocab: Object.fromEntries(LINES.map((token, id) => [token, id])) },
      post_processor: { single: [{ SpecialToken: { id: '[CLS]' } }, {}, { SpecialToken: { id: '[SEP]' } }] },
    });
  });

  test('keeps tokens that hold other line breaks than a line feed', () => {
    const { tokenizer } = convertWordPiece([...LINES, '\u2028', '\u0085'].join('\n'), PATH, {});
    expect(tokenizer).toMatchObject({ model: { vocab: { '\u2028': 7, '\u0085': 8 } } });
  });

  test('puts added tokens behind its last line, and keeps the id of those that it has', () => {
    const addedTokens = ['[DEC]', '[MASK]', 'a'].map((content) => ({ content, special: content !== 'a' }));
    const { tokenizer } = convertWordPiece(LINES.join('\n'), PATH, { addedTokens });
    expect(tokenizer).toMatchObject({
      added_tokens: [
        { id: 0, content: '[PAD]' },
        { id: 1, content: '[UNK]' },
        { id: 2, content: '[CLS]' },
        { id: 3, content: '[SEP]' },
        { id: 4, content: '[MASK]', special: true, normalized: false },
        { id: 5, content: 'a', special: false, normalized: true },
        { id: 7, content: '[DEC]', special: true },
      ],
    });
  });

  test.each([
    ['', 'no special token "[UNK]"'],
    ['\n[UNK]', 'line 1 is empty'],
    [[...LINES, '', 'c'].join('\n'), 'line 8 is empty'],
    [[...LINES, 'a'].join('\n'), 'line 8 repeats line 6, "a"'],
    [LINES.slice(0, 3).join('\n'), 'the tokenizer has no special token "[SEP]"'],
    ['version https://git-lfs.github.com/spec/v1', 'no special token "[UNK]"'],
  ])('is refused when damaged: %j', (text, message) => {
    expect(() => convertWordPiece(text, PATH, {})).toThrow(CheckpointError);
    expect(() => convertWordPiece(text, PATH, {})).toThrow(message);
  });
});
