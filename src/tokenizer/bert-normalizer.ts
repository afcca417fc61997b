/**
 * Cleaning of text for BERT: control characters, spaces, Chinese characters, accents, case.
 *
 * `@huggingface/tokenizers` 0.2.0 has this part too, but looks at halves of characters beyond U+FFFF, so that a rare Chinese character joins
 * the word beside it, and lowers a Greek sigma at the end of a word to another letter than the reference (the Rust library `tokenizers`).
 */

/** Zero, U+FFFD and control characters other than those that count as spaces. */
const REMOVED = /(?![\t\n\r])[\0\uFFFD\p{Cc}\p{Cf}\p{Co}]/gu;

/** The blocks of Chinese characters, with the borders that the reference has. */
const CHINESE =
  /[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{F900}-\u{FAFF}\u{2F800}-\u{2FA1F}]/gu;

/** The cleaning that `config`, a `BertNormalizer` of tokenizer.json, describes. */
export function bertNormalizer(config: Readonly<Record<string, unknown>>): (text: string) => string {
  const clean = config['clean_text'] === true;
  const separateChinese = config['handle_chinese_chars'] === true;
  const lowercase = config['lowercase'] === true;
  const stripAccents = config['strip_accents'] ?? lowercase;
  return (text) => {
    let normalized = text;
    if (clean) normalized = normalized.replace(REMOVED, '').replace(/\p{White_Space}/gu, ' ');
    if (separateChinese) normalized = normalized.replace(CHINESE, ' $& ');
    if (stripAccents === true) normalized = normalized.normalize('NFD').replace(/\p{Mn}/gu, '');
    // Each character by itself, without a view of its word.
    if (lowercase) normalized = Array.from(normalized, (character) => character.toLowerCase()).join('');
    return normalized;
  };
}
