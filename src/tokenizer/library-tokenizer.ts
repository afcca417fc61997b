/**
 * What this folder uses of `@huggingface/tokenizers`, with its types.
 *
 * The package's own declarations (0.2.0) import files without endings, which TypeScript does not follow under `nodenext`: everything in it
 * would be `any`. So the few members that are used stand here.
 */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';

export type NormalizerPart = {
  config: Readonly<Record<string, unknown>>;
  /** The parts of a Sequence. */
  normalizers?: (NormalizerPart | null)[];
  normalize(text: string): string;
};

export type PreTokenizerPart = {
  config?: Readonly<Record<string, unknown>>;
  /** The parts of a Sequence. */
  tokenizers?: (PreTokenizerPart | null)[];
  /** The words, of ByteLevel and others. */
  pattern?: RegExp;
};

export type DecoderPart = {
  config: Readonly<Record<string, unknown>>;
  /** The parts of a Sequence. */
  decoders?: (DecoderPart | null)[];
  decode_chain(tokens: string[]): string[];
};

export type LibraryTokenizer = {
  readonly normalizer: NormalizerPart | null;
  readonly pre_tokenizer: PreTokenizerPart | null;
  readonly decoder: DecoderPart | null;
  /** Tokens at the place of their ids, added tokens included. */
  readonly model: { readonly vocab: readonly (string | undefined)[] };
  /** Added tokens that `skip_special_tokens` leaves out. */
  readonly special_tokens: readonly string[];
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  /** Refuses an empty list. */
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
};

/**
 * A tokenizer as the library makes it of the two files of a pack.
 *
 * @throws Error (of the library, of any kind) when they describe none that it knows.
 */
export function makeLibraryTokenizer(json: object, config: object): LibraryTokenizer {
  const tokenizer: LibraryTokenizer = new HuggingFaceTokenizer(json, config);
  return tokenizer;
}
