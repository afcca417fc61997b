/**
 * Puts parts of our own in the place of those parts of `@huggingface/tokenizers` that differ from the reference.
 *
 * The reference is the Rust library `tokenizers` 0.23.3, which reads the same tokenizer.json. Each part says what it does otherwise; the
 * golden ids of test/fixtures/tokenizers show it.
 */
import { bertNormalizer } from './bert-normalizer.ts';
import { decodeByteTokens } from './byte-tokens.ts';
import { Charsmap } from './charsmap.ts';
import type { DecoderPart, LibraryTokenizer, NormalizerPart, PreTokenizerPart } from './library-tokenizer.ts';

/**
 * How GPT-2 cuts text into words. The library writes the space of JavaScript (`\s`), which counts U+FEFF and leaves out U+0085; the
 * reference means the Unicode property.
 */
const GPT2_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/**
 * Changes `tokenizer` in place.
 *
 * @throws Error when the data of a part is damaged.
 */
export function useReferenceParts(tokenizer: LibraryTokenizer): void {
  useReferenceNormalizer(tokenizer.normalizer);
  useReferenceWords(tokenizer.pre_tokenizer);
  useReferenceDecoder(tokenizer.decoder);
}

function useReferenceNormalizer(part: NormalizerPart | null): void {
  part?.normalizers?.forEach(useReferenceNormalizer);
  if (part?.config['type'] === 'Precompiled') {
    const charsmap = new Charsmap(part.config['precompiled_charsmap']);
    part.normalize = (text) => charsmap.normalize(text);
  }
  if (part?.config['type'] === 'BertNormalizer') part.normalize = bertNormalizer(part.config);
}

function useReferenceWords(part: PreTokenizerPart | null): void {
  part?.tokenizers?.forEach(useReferenceWords);
  if (part?.config?.['type'] === 'ByteLevel') part.pattern = GPT2_WORDS;
}

function useReferenceDecoder(part: DecoderPart | null): void {
  part?.decoders?.forEach(useReferenceDecoder);
  if (part?.config['type'] === 'ByteFallback') part.decode_chain = decodeByteTokens;
}
