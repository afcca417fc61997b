/**
 * What the converters of this folder have in common: a tokenizer.json holds added tokens with ids, and a template around the text.
 */
import { CheckpointError } from '../../errors.ts';
import { quoted } from '../read/quoted.ts';

/** The contents of `tokenizer.json` and `tokenizer_config.json`, ready for `JSON.stringify`. */
export type ConvertedTokenizer = { tokenizer: object; tokenizerConfig: object };

/** A token that is found in the text before the vocabulary's own rules apply. */
export type AddedToken = {
  content: string;
  /** Left out of decoded text. */
  special: boolean;
  /** Looked for in the text after it was normalised. */
  normalized?: boolean;
  /** Where it must stand; checked. Its place in the vocabulary, or the next free id, where it is left out. */
  id?: number;
};

/** An entry of `added_tokens` in tokenizer.json. */
type PlacedToken = {
  id: number;
  content: string;
  single_word: false;
  lstrip: false;
  rstrip: false;
  normalized: boolean;
  special: boolean;
};

/**
 * Gives every added token its id. A token that is named twice counts once, as it was first named.
 *
 * @param vocabulary Ids of the tokens that the vocabulary has without them.
 * @throws CheckpointError when two tokens claim an id, or an id is far behind the vocabulary.
 */
export function placeAddedTokens(
  vocabulary: ReadonlyMap<string, number>,
  tokens: readonly AddedToken[],
  path: string,
): PlacedToken[] {
  const owners = new Map([...vocabulary].map(([content, id]) => [id, content]));
  const placed = new Map<string, PlacedToken>();
  const end = vocabulary.size + tokens.length;
  let next = vocabulary.size;
  for (const { content, special, normalized, id: claimed } of tokens) {
    while (owners.has(next)) next++;
    const own = vocabulary.get(content) ?? placed.get(content)?.id;
    const id = claimed ?? own ?? next;
    const owner = owners.get(id);
    let problem: string | undefined;
    if (own !== undefined && own !== id) problem = `its id is ${own}`;
    else if (owner !== undefined && owner !== content) problem = `that is the id of ${quoted(owner)}`;
    else if (id >= end) problem = `the vocabulary ends at ${vocabulary.size}`;
    if (problem !== undefined) {
      throw new CheckpointError(
        path,
        `the added token ${quoted(content)} claims the id ${id}, but ${problem}. All files must be of the same tokenizer.`,
      );
    }
    if (placed.has(content)) continue;
    owners.set(id, content);
    placed.set(content, {
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: normalized ?? !special,
      special,
    });
  }
  return [...placed.values()].toSorted((a, b) => a.id - b.id);
}

/** The contents of tokenizer.json: what all converters write alike, and the parts in which they differ. */
export function tokenizerJson(
  added: readonly PlacedToken[],
  parts: Readonly<
    Record<'normalizer' | 'pre_tokenizer' | 'post_processor', object | null> & Record<'decoder' | 'model', object>
  >,
): object {
  return { version: '1.0', truncation: null, padding: null, added_tokens: added, ...parts };
}

/**
 * A `TemplateProcessing` that puts one token before or behind the text; null where there is neither.
 *
 * @param tokens by their names; null stands for none
 * @throws CheckpointError when the tokenizer has none of that name.
 */
export function templateAround(
  added: readonly PlacedToken[],
  tokens: { start: string | null; end?: string },
  path: string,
): object | null {
  const placed = (name: string | null | undefined): PlacedToken | undefined =>
    name === null || name === undefined ? undefined : requireToken(added, name, path);
  const start = placed(tokens.start);
  const end = placed(tokens.end);
  if (start === undefined && end === undefined) return null;
  const special = (token: PlacedToken | undefined): object[] =>
    token === undefined ? [] : [{ SpecialToken: { id: token.content, type_id: 0 } }];
  const around = (name: string): object[] => [
    ...special(start),
    { Sequence: { id: name, type_id: 0 } },
    ...special(end),
  ];
  const used = [start, end].filter((token) => token !== undefined);
  return {
    type: 'TemplateProcessing',
    single: around('A'),
    pair: [...around('A'), ...around('B')],
    special_tokens: Object.fromEntries(
      used.map(({ content, id }) => [content, { id: content, ids: [id], tokens: [content] }]),
    ),
  };
}

/** The token `content` out of the placed ones. @throws CheckpointError when the tokenizer has none of that name. */
export function requireToken(tokens: readonly PlacedToken[], content: string, path: string): PlacedToken {
  const token = tokens.find((placed) => placed.content === content);
  if (token === undefined) throw new CheckpointError(path, `the tokenizer has no special token ${quoted(content)}.`);
  return token;
}
