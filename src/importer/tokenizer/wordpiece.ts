/**
 * BERT's `vocab.txt` as tokenizer.json: the Q-Former reads instructions and captions by it. LAVIS names only this file, and adds
 * `[DEC]` behind its last line, with which the Q-Former begins to write.
 */
import { CheckpointError } from '../../errors.ts';
import { quoted } from '../read/quoted.ts';
import {
  placeAddedTokens,
  requireToken,
  tokenizerJson,
  type AddedToken,
  type ConvertedTokenizer,
} from './converted-tokenizer.ts';

export type WordPieceOptions = {
  /** Tokens behind the vocabulary, such as `[DEC]`. */
  addedTokens?: readonly AddedToken[];
  /** Whether text is lowered and loses its accents; true where it is left out, as for bert-base-uncased. */
  lowercase?: boolean;
  /** Whether decoding takes away spaces before punctuation; true where it is left out. */
  cleanUpSpaces?: boolean;
};

const UNKNOWN = '[UNK]';
const START = '[CLS]';
const END = '[SEP]';
/** Special where the vocabulary has them; the first three it must have. */
const SPECIAL_TOKENS = [UNKNOWN, START, END, '[PAD]', '[MASK]'];

/**
 * @param text The file: one token a line, ids in the order of the lines.
 * @param path The file, for messages.
 * @throws CheckpointError when a line is empty or stands twice, or a special token is missing.
 */
export function convertWordPiece(
  text: string,
  path: string,
  { addedTokens = [], lowercase = true, cleanUpSpaces = true }: WordPieceOptions,
): ConvertedTokenizer {
  const vocabulary = readLines(text, path);
  const special = SPECIAL_TOKENS.filter((content) => vocabulary.has(content));
  const added = placeAddedTokens(
    vocabulary,
    [...special.map((content) => ({ content, special: true })), ...addedTokens],
    path,
  );
  const unknown = requireToken(added, UNKNOWN, path);
  const start = requireToken(added, START, path);
  const end = requireToken(added, END, path);
  const open = { SpecialToken: { id: start.content, type_id: 0 } };
  const close = (type: number): object => ({ SpecialToken: { id: end.content, type_id: type } });
  const first = [open, { Sequence: { id: 'A', type_id: 0 } }, close(0)];
  return {
    tokenizer: tokenizerJson(added, {
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: {
        type: 'TemplateProcessing',
        single: first,
        pair: [...first, { Sequence: { id: 'B', type_id: 1 } }, close(1)],
        special_tokens: Object.fromEntries(
          [start, end].map(({ content, id }) => [content, { id: content, ids: [id], tokens: [content] }]),
        ),
      },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: unknown.content,
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(vocabulary),
      },
    }),
    tokenizerConfig: {
      tokenizer_class: 'BertTokenizer',
      do_lower_case: lowercase,
      unk_token: unknown.content,
      cls_token: start.content,
      sep_token: end.content,
      clean_up_tokenization_spaces: cleanUpSpaces,
    },
  };
}

function readLines(text: string, path: string): Map<string, number> {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const vocabulary = new Map<string, number>();
  for (const [id, token] of lines.entries()) {
    const first = vocabulary.get(token);
    if (token === '' || first !== undefined) {
      throw new CheckpointError(
        path,
        `line ${id + 1} ${first === undefined ? 'is empty' : `repeats line ${first + 1}, ${quoted(token)}`}; every line of a vocabulary is a token of its own.`,
      );
    }
    vocabulary.set(token, id);
  }
  return vocabulary;
}
