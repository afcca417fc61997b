/**
 * What is taken off a long description: sentences that stand there already, and the last one where the length limit cut it off. Models
 * trained on short captions repeat themselves and stop in the middle (MiniGPT-4, https://arxiv.org/abs/2304.10592, section 3.2, has
 * ChatGPT take both out of its training data).
 */

/**
 * A sentence and the white space behind it. It ends with a full stop or its like and any closing quotes, before white space or the end;
 * those of Chinese and Japanese end it anywhere. So `3.5` is no end, and neither are the commonest abbreviations, or `Mr.` would be a
 * sentence that is said twice.
 */
const SENTENCE =
  /.+?(?:(?<!(?<!\p{L})(?:\p{Lu}|Mr|Mrs|Ms|Dr|St|Jr|Sr|No|vs|etc|e\.g|i\.e))[.!?…]+["'”’»)\]]*(?=\s|$)|[。！？]+["'”’»）」』]*|$)\s*/gsu;

const ENDED = /[.!?…。！？]["'”’»)\]）」』]*$/u;

/** A run of words that follows itself so often is a loop. */
const LOOP_TURNS = 3;

/**
 * The description without repetition and without a trailing fragment. Trimming it again changes nothing.
 *
 * @param isCutOff whether the length limit ended it. The unfinished sentence then goes, unless it is the only one.
 */
export function trimDescription(text: string, isCutOff: boolean): string {
  const sentences = text.match(SENTENCE);
  const last = sentences?.at(-1);
  // An empty text.
  if (sentences === null || last === undefined) return '';
  const isFragment = !ENDED.test(last.trimEnd());
  if (isFragment && isCutOff && sentences.length > 1) sentences.pop();
  else if (isFragment) sentences.splice(-1, 1, withoutLoop(last));
  const seen = new Set<string>();
  const kept = sentences.filter((sentence) => {
    const words = sentence.trim();
    return seen.size < seen.add(words).size;
  });
  return kept.join('').trimEnd();
}

/** A sentence that ends in words said over and over, with those words once. */
function withoutLoop(sentence: string): string {
  // White space alone has no words.
  const words = sentence.match(/\S+\s*/gu) ?? [];
  const bare = words.map((word) => word.trim());
  for (let period = 1; period * LOOP_TURNS <= words.length; period++) {
    let start = words.length - period;
    while (start > 0 && bare[start - 1] === bare[start - 1 + period]) start--;
    if (words.length - start >= period * LOOP_TURNS) return withoutLoop(words.slice(0, start + period).join(''));
  }
  return sentence;
}
