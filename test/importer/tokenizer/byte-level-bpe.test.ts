import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { convertByteLevelBpe, type ByteLevelBpeFiles } from '../../../src/importer/tokenizer/byte-level-bpe.ts';

const VOCAB = { '</s>': 0, a: 1, b: 2, ab: 3, '#': 4, '##': 5 };
const files = (vocab: string, merges: string): ByteLevelBpeFiles => {
  return { vocab, vocabPath: 'opt/vocab.json', merges, mergesPath: 'opt/merges.txt' };
};

describe('vocab.json and merges.txt', () => {
  test('give merges in the order of the lines, those that begin with # included', () => {
    const merges = '#version: 0.2\na b\n# #\n';
    const { tokenizer, tokenizerConfig } = convertByteLevelBpe(files(JSON.stringify(VOCAB), merges), {
      startToken: '</s>',
      addedTokens: [
        { content: '</s>', special: true },
        { content: '  ', special: false },
      ],
    });
    expect(tokenizer).toMatchObject({
      model: {
        vocab: VOCAB,
        merges: [
          ['a', 'b'],
          ['#', '#'],
        ],
      },
      added_tokens: [
        { id: 0, content: '</s>', special: true },
        { id: 6, content: '  ', special: false, normalized: true },
      ],
      post_processor: { single: [{ SpecialToken: { id: '</s>' } }, { Sequence: { id: 'A' } }] },
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
    });
    expect(tokenizerConfig).toMatchObject({ clean_up_tokenization_spaces: true, add_bos_token: true });
  });

  test('put nothing before a text where no start token is named', () => {
    const { tokenizer } = convertByteLevelBpe(files(JSON.stringify(VOCAB), ''), { startToken: null, addedTokens: [] });
    expect(tokenizer).toMatchObject({ post_processor: null, model: { merges: [] } });
  });

  test.each([
    ['{', '', 'opt/vocab.json: the file is not valid JSON'],
    ['[]', '', 'opt/vocab.json: the file should be a JSON object of tokens and their ids'],
    ['{"a":0,"b":0}', '', 'token "b" has the id "0"; the 2 tokens should have the ids 0 to 1, each once'],
    ['{"a":1}', '', 'token "a" has the id "1"'],
    ['{"a":-1}', '', 'token "a" has the id "-1"'],
    ['{"a":0.5}', '', 'token "a" has the id "0.5"'],
    ['{"a":"0"}', '', 'token "a" has the id "0"'],
    [JSON.stringify(VOCAB), '#version: 0.2\na b c', 'opt/merges.txt: line 2 "a b c" should be two tokens'],
    [JSON.stringify(VOCAB), 'ab', 'line 1 "ab" should be two tokens with a space between them'],
    [JSON.stringify(VOCAB), 'a c', 'line 1 "a c" merges "c", which is not in vocab.json'],
    [JSON.stringify(VOCAB), 'b a', 'line 1 "b a" merges "ba", which is not in vocab.json'],
  ])('are refused when damaged: %s and %j', (vocab, merges, message) => {
    const convert = (): unknown => convertByteLevelBpe(files(vocab, merges), { startToken: null, addedTokens: [] });
    expect(convert).toThrow(CheckpointError);
    expect(convert).toThrow(message);
  });

  test('are refused where the start token is no special token', () => {
    expect(() => convertByteLevelBpe(files(JSON.stringify(VOCAB), ''), { startToken: '<s>', addedTokens: [] })).toThrow(
      'opt/vocab.json: the tokenizer has no special token "<s>"',
    );
  });
});
