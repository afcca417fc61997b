/**
 * GPT-2's `vocab.json` and `merges.txt` as tokenizer.json: OPT and Phi-2 are published with these two files, and not always with the third.
 */
import { CheckpointError } from '../../errors.ts';
import { quoted } from '../read/quoted.ts';
import {
  placeAddedTokens,
  templateAround,
  tokenizerJson,
  type AddedToken,
  type ConvertedTokenizer,
} from './converted-tokenizer.ts';

/** The two files, and what stands beside them in the folder. */
export type ByteLevelBpeFiles = {
  /** Text of `vocab.json`. */
  vocab: string;
  vocabPath: string;
  /** Text of `merges.txt`. */
  merges: string;
  mergesPath: string;
};

export type ByteLevelBpeOptions = {
  /** The token before every text (`</s>` for OPT); null for none. */
  startToken: string | null;
  /** The special tokens of the vocabulary, and tokens behind it, such as the runs of spaces of Phi-2. */
  addedTokens: readonly AddedToken[];
  /** Whether decoding takes away spaces before punctuation; true where it is left out. */
  cleanUpSpaces?: boolean;
};

/**
 * No space is put before a text.
 *
 * @throws CheckpointError when a file is damaged, or a merge is not of the vocabulary.
 */
export function convertByteLevelBpe(files: ByteLevelBpeFiles, options: ByteLevelBpeOptions): ConvertedTokenizer {
  const vocabulary = readVocabulary(files.vocab, files.vocabPath);
  const merges = readMerges(files.merges, files.mergesPath, vocabulary);
  const added = placeAddedTokens(vocabulary, options.addedTokens, files.vocabPath);
  const { startToken, cleanUpSpaces = true } = options;
  return {
    tokenizer: tokenizerJson(added, {
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: templateAround(added, { start: startToken }, files.vocabPath),
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: '',
        end_of_word_suffix: '',
        fuse_unk: false,
        byte_fallback: false,
        vocab: Object.fromEntries(vocabulary),
        merges,
      },
    }),
    tokenizerConfig: {
      tokenizer_class: 'GPT2Tokenizer',
      add_prefix_space: false,
      add_bos_token: startToken !== null,
      bos_token: startToken,
      clean_up_tokenization_spaces: cleanUpSpaces,
    },
  };
}

function readVocabulary(text: string, path: string): Map<string, number> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(path, `the file is not valid JSON (${String(cause)}).`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CheckpointError(path, 'the file should be a JSON object of tokens and their ids.');
  }
  const entries = Object.entries(value as Record<string, unknown>);
  const tokens: (string | undefined)[] = Array.from({ length: entries.length });
  const vocabulary = new Map<string, number>();
  for (const [token, id] of entries) {
    if (typeof id !== 'number' || !(id in tokens) || tokens[id] !== undefined) {
      throw new CheckpointError(
        path,
        `token ${quoted(token)} has the id ${quoted(String(id))}; the ${entries.length} tokens should have the ids 0 to ${entries.length - 1}, each once.`,
      );
    }
    tokens[id] = token;
    vocabulary.set(token, id);
  }
  return vocabulary;
}

/** Lines of two tokens with a space between them; a first line `#version` is of no meaning. */
function readMerges(text: string, path: string, vocabulary: ReadonlyMap<string, number>): [string, string][] {
  const lines = text.split(/\r?\n/);
  return lines.flatMap((line, index): [string, string][] => {
    if ((index === 0 && line.startsWith('#version')) || line === '') return [];
    const [left, right, ...more] = line.split(' ');
    if (left === undefined || right === undefined || more.length > 0) {
      throw new CheckpointError(
        path,
        `line ${index + 1} ${quoted(line)} should be two tokens with a space between them.`,
      );
    }
    const unknown = [left, right, left + right].find((token) => !vocabulary.has(token));
    if (unknown !== undefined) {
      throw new CheckpointError(
        path,
        `line ${index + 1} ${quoted(line)} merges ${quoted(unknown)}, which is not in vocab.json. Both files must be of the same tokenizer.`,
      );
    }
    return [[left, right]];
  });
}
