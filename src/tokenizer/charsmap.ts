/**
 * The character map of a SentencePiece model (`precompiled_charsmap` of T5): which characters are replaced before the vocabulary sees them.
 *
 * `@huggingface/tokenizers` 0.2.0 holds the map but does not read it: it takes NFKC and two lists of characters instead. That gives other ids
 * than the published tokenizer for letters with two marks, joined emoji and others: "ẋ̣" becomes one unknown token there, `x` and an unknown
 * mark here. The map is a double-array trie over UTF-8 bytes (darts-clone) and the texts that its leaves point to, as SentencePiece writes it;
 * how text is cut into keys follows the Rust library `tokenizers`, which the references ran.
 */
import { required } from '../required.ts';

/** Longer clusters of characters are looked up one character at a time. */
const MAX_CLUSTER_BYTES = 5;

export class Charsmap {
  readonly #trie: Uint32Array;
  /** Texts in UTF-8, each ended by a zero byte. */
  readonly #texts: Buffer;
  #segmenter: Intl.Segmenter | undefined;

  /**
   * @param base64 A length in bytes, the trie and the texts.
   * @throws Error when it is something else.
   */
  constructor(base64: unknown) {
    const bytes = Buffer.from(typeof base64 === 'string' ? base64 : '', 'base64');
    const trieBytes = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
    if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4) {
      throw new Error(`precompiled_charsmap has ${bytes.length} bytes and claims a trie of ${trieBytes}`);
    }
    this.#trie = Uint32Array.from({ length: trieBytes / 4 }, (_, index) => bytes.readUInt32LE(4 + 4 * index));
    this.#texts = bytes.subarray(4 + trieBytes);
  }

  normalize(text: string): string {
    let normalized = '';
    for (const cluster of this.#clusters(text)) {
      const whole = Buffer.byteLength(cluster) <= MAX_CLUSTER_BYTES ? this.#replacement(cluster) : undefined;
      if (whole !== undefined) normalized += whole;
      else for (const character of cluster) normalized += this.#replacement(character) ?? character;
    }
    return normalized;
  }

  /** Grapheme clusters: a letter with its marks is one. */
  #clusters(text: string): Iterable<string> {
    // The segmenter takes milliseconds to make, and plain prompts do without.
    // An empty text has no match.
    if (/^[\0-\x7f]*$/.test(text)) return text.match(/\r\n|[^]/g) ?? [];
    this.#segmenter ??= new Intl.Segmenter('und', { granularity: 'grapheme' });
    return Array.from(this.#segmenter.segment(text), ({ segment }) => segment);
  }

  /**
   * The text for the shortest key that `cluster` begins with; undefined where there is none. What follows that key in the cluster is lost: so
   * it is in the reference, and the models were trained with it.
   */
  #replacement(cluster: string): string | undefined {
    let position = childOffset(required(this.#trie[0], 'the root of the character map'));
    for (const byte of Buffer.from(cluster)) {
      position ^= byte;
      // A place behind the end holds none.
      const unit = this.#trie[position] ?? 0;
      // A unit carries the byte that leads to it; units of other parents lie between. No unit answers to a zero byte.
      if (byte === 0 || (unit & 0x8000_00ff) !== byte) return undefined;
      position ^= childOffset(unit);
      const hasLeaf = (unit & 0x100) !== 0;
      if (hasLeaf) return this.#textAt(required(this.#trie[position], 'a leaf of the character map') & 0x7fff_ffff);
    }
    return undefined;
  }

  #textAt(start: number): string {
    const end = this.#texts.indexOf(0, start);
    return this.#texts.toString('utf8', start, end === -1 ? this.#texts.length : end);
  }
}

/** Where the children of a unit begin, to be combined with the unit's own position by exclusive or. */
function childOffset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
