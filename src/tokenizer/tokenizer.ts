/**
 * Text to token ids and back, by the `tokenizer.json` a model was published with.
 *
 * The arithmetic is `@huggingface/tokenizers` with a few parts of our own; this file reads the pack's two files at the border and settles what
 * that library leaves open: nothing to decode is an empty text, an id without a token (the embedding table of OPT is padded) writes nothing,
 * as in transformers, and clean-up of spaces happens only where `tokenizer_config.json` asks for it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PackError } from '../errors.ts';
import { IncrementalDecoder } from './incremental-decoder.ts';
import { makeLibraryTokenizer, type LibraryTokenizer } from './library-tokenizer.ts';
import { useReferenceParts } from './reference-parts.ts';

/** What the library's clean-up of spaces replaces, in its order. */
const SPACE_CLEAN_UP = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
] as const;

/** How vocabularies spell a space: SentencePiece, byte-level BPE. */
const SPACE_MARKS = ['▁', 'Ġ'] as const;

export class Tokenizer {
  readonly #tokenizer: LibraryTokenizer;
  readonly #cleanUpSpaces: boolean;
  readonly #directory: string;

  /**
   * How many rows of the embedding table stand for a token: ids from here on are padding, and no text has them. (An id below it may lack a
   * token only where a published vocabulary skips ids.)
   */
  readonly tokenCount: number;

  /** Made by `loadTokenizer`. `directory` is only for messages. */
  constructor(tokenizer: LibraryTokenizer, cleanUpSpaces: boolean, directory: string) {
    this.#tokenizer = tokenizer;
    this.#cleanUpSpaces = cleanUpSpaces;
    this.#directory = directory;
    this.tokenCount = tokenizer.model.vocab.length;
  }

  /** The id of one token as the vocabulary spells it, such as `▁###` or `</s>`; undefined where there is none. */
  tokenId(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  /**
   * Whether it puts a space in front of every text by itself, as SentencePiece does: then every text begins with a word. A normalizer or a
   * pre-tokenizer may do that, under several names; what it does to a text says it whichever it is.
   */
  get prependsSpace(): boolean {
    const [first] = this.encode('a', { addSpecialTokens: false });
    if (first === undefined) return false;
    return SPACE_MARKS.some((mark) => this.#tokenizer.id_to_token(first)?.startsWith(mark));
  }

  /**
   * @param options.addSpecialTokens Whether the tokenizer's own start and end tokens are put around the text.
   * @throws PackError when the vocabulary has no token for a part of the text, and none for unknown text.
   */
  encode(text: string, options: { addSpecialTokens: boolean }): number[] {
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: options.addSpecialTokens });
    if (!ids.every((id) => Number.isSafeInteger(id))) {
      throw new PackError(join(this.#directory, 'tokenizer.json'), `it has no token for a part of "${text}".`);
    }
    return ids;
  }

  /** The text of `ids`, special tokens left out. Bytes that are not UTF-8 become U+FFFD. */
  decode(ids: readonly number[]): string {
    return this.#decode(ids, this.#cleanUpSpaces);
  }

  /** Begins a text whose ids come one by one. Together its pieces are what `decode` makes of all of them. */
  startDecoding(): IncrementalDecoder {
    return new IncrementalDecoder({
      visibleToken: (id) => {
        const token = this.#tokenizer.id_to_token(id);
        return token === undefined || this.#tokenizer.special_tokens.includes(token) ? undefined : token;
      },
      decode: (ids) => this.#decode(ids, false),
      cleanUp: this.#cleanUpSpaces ? SPACE_CLEAN_UP : [],
    });
  }

  #decode(ids: readonly number[], cleanUpSpaces: boolean): string {
    const known = ids.filter((id) => this.#tokenizer.id_to_token(id) !== undefined);
    // The library refuses an empty list.
    if (known.length === 0) return '';
    return this.#tokenizer.decode(known, {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: cleanUpSpaces,
    });
  }
}

/**
 * Reads `tokenizer.json` and `tokenizer_config.json` of a model pack.
 *
 * @throws PackError when a file is missing, is not a JSON object, or describes no tokenizer that is known here.
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const path = join(directory, 'tokenizer.json');
  const [json, config] = await Promise.all([readObject(path), readObject(join(directory, 'tokenizer_config.json'))]);
  let tokenizer: LibraryTokenizer;
  try {
    tokenizer = makeLibraryTokenizer(json, config);
    useReferenceParts(tokenizer);
  } catch (cause) {
    throw new PackError(path, `this version of minigpt cannot use this tokenizer (${String(cause)}).`, {
      cause,
    });
  }
  return new Tokenizer(tokenizer, config['clean_up_tokenization_spaces'] === true, directory);
}

async function readObject(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new PackError(path, 'the file is missing or cannot be read. Import the model again.', { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PackError(path, `the file is not valid JSON (${String(cause)}).`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PackError(path, 'the file should be a JSON object.');
  }
  return value as Record<string, unknown>;
}
