/**
 * A SentencePiece model as tokenizer.json: LLaMA's BPE with byte fallback, T5's Unigram.
 *
 * Both come out as their publishers' own conversions have them. LLaMA behaves as in "legacy" mode, which the references ran: every piece of
 * text between special tokens gets a "▁" in front. T5 keeps a space at the end of the text, which SentencePiece itself drops.
 */
import { CheckpointError } from '../../errors.ts';
import {
  placeAddedTokens,
  templateAround,
  tokenizerJson,
  type AddedToken,
  type ConvertedTokenizer,
} from './converted-tokenizer.ts';
import { readSentencePieceModel, type Piece, type SentencePieceModel } from './sentencepiece-model.ts';

export type SentencePieceOptions = {
  /**
   * The token before every text; null for none. Left out, it is the model's own start for LLaMA (`<s>`) and none for T5. InstructBLIP with
   * Vicuna begins with `</s>`.
   */
  startToken?: string | null;
  /** How many sentinels `<extra_id_N>` stand behind the pieces of T5, the highest first; 100 where it is left out. */
  extraIds?: number;
  addedTokens?: readonly AddedToken[];
  /** Whether decoding takes away spaces before punctuation; false where it is left out. */
  cleanUpSpaces?: boolean;
};

const DEFAULT_EXTRA_IDS = 100;
const MAX_EXTRA_IDS = 10_000;
const SPACE = '▁';

/**
 * @param path The file, for messages.
 * @throws CheckpointError when the file is damaged or is a model of another kind.
 */
export function convertSentencePiece(
  bytes: Uint8Array,
  path: string,
  options: SentencePieceOptions,
): ConvertedTokenizer {
  const model = readSentencePieceModel(bytes, path);
  if (!model.addDummyPrefix) {
    throw new CheckpointError(path, 'the model puts no "▁" before a text; LLaMA and T5 do. It is not supported.');
  }
  return model.kind === 'bpe' ? convertLlama(model, path, options) : convertT5(model, path, options);
}

function convertLlama(
  model: SentencePieceModel,
  path: string,
  { startToken: chosen, addedTokens = [], cleanUpSpaces = false }: SentencePieceOptions,
): ConvertedTokenizer {
  if (model.removeExtraWhitespaces || !model.byteFallback) {
    throw new CheckpointError(
      path,
      'the model joins spaces or has no byte fallback, unlike LLaMA. It is not supported.',
    );
  }
  const vocabulary = new Map(model.pieces.map(({ text }, id) => [text, id]));
  const added = placeAddedTokens(vocabulary, [...ownTokens(model), ...addedTokens], path);
  const { unknownToken, startToken: ownStart } = model;
  const startToken = chosen === undefined ? ownStart : chosen;
  if (startToken === null && chosen === undefined) {
    throw new CheckpointError(path, 'the model has no piece that starts a text, as LLaMA has with "<s>".');
  }
  return {
    tokenizer: tokenizerJson(added, {
      normalizer: {
        type: 'Sequence',
        normalizers: [
          ...charsmapNormalizers(model),
          { type: 'Prepend', prepend: SPACE },
          { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
        ],
      },
      pre_tokenizer: null,
      post_processor: templateAround(added, { start: startToken }, path),
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: unknownToken,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(vocabulary),
        merges: mergesOf(model.pieces),
      },
    }),
    tokenizerConfig: {
      tokenizer_class: 'LlamaTokenizer',
      add_bos_token: startToken !== null,
      bos_token: startToken ?? ownStart,
      eos_token: model.endToken,
      unk_token: unknownToken,
      clean_up_tokenization_spaces: cleanUpSpaces,
      legacy: true,
    },
  };
}

/**
 * The merges of a BPE model, which its file does not hold, as it joins whichever neighbours make the piece with the best score. Every way to
 * make a piece out of two others, best first: by the score of the piece, then by the ids of its parts, in the order that the
 * publishers' conversion has.
 */
function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const normal = new Map(pieces.flatMap(({ text, kind }, id) => (kind === 'normal' ? [[text, id] as const] : [])));
  const merges: { parts: [string, string]; score: number; ids: [number, number] }[] = [];
  for (const { text, score, kind } of pieces) {
    if (kind !== 'normal') continue;
    const splits: typeof merges = [];
    for (let at = 1; at < text.length; at++) {
      const parts: [string, string] = [text.slice(0, at), text.slice(at)];
      const [left, right] = [normal.get(parts[0]), normal.get(parts[1])];
      if (left !== undefined && right !== undefined) splits.push({ parts, score, ids: [left, right] });
    }
    merges.push(...splits.toSorted((a, b) => a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]));
  }
  // The sort keeps the order of equal scores.
  return merges.toSorted((a, b) => b.score - a.score).map(({ parts }) => parts);
}

function convertT5(
  model: SentencePieceModel,
  path: string,
  { extraIds = DEFAULT_EXTRA_IDS, startToken = null, addedTokens = [], cleanUpSpaces = false }: SentencePieceOptions,
): ConvertedTokenizer {
  if (model.byteFallback)
    throw new CheckpointError(path, 'the model has byte fallback, unlike T5. It is not supported.');
  if (!Number.isSafeInteger(extraIds) || extraIds < 0 || extraIds > MAX_EXTRA_IDS) {
    throw new CheckpointError(path, `${extraIds} is not a valid number of extra_ids; T5 has ${DEFAULT_EXTRA_IDS}.`);
  }
  const sentinels = Array.from({ length: extraIds }, (_, index) => `<extra_id_${extraIds - 1 - index}>`);
  const entries: [string, number][] = [
    ...model.pieces.map(({ text, score }): [string, number] => [text, score]),
    ...sentinels.map((sentinel): [string, number] => [sentinel, 0]),
  ];
  const vocabulary = new Map(entries.map(([text], id) => [text, id]));
  // The pieces alone are all different.
  const twice = entries.find(([text], id) => vocabulary.get(text) !== id);
  if (twice !== undefined) {
    throw new CheckpointError(
      path,
      `the pieces already contain sentinels such as ${twice[0]}, which would then occur twice.`,
    );
  }
  const added = placeAddedTokens(
    vocabulary,
    [...ownTokens(model), ...sentinels.map((content) => ({ content, special: true })), ...addedTokens],
    path,
  );
  const { endToken, padToken, unknownToken } = model;
  if (endToken === null) {
    throw new CheckpointError(path, 'the model has no piece that ends a text, as T5 has with "</s>".');
  }
  return {
    tokenizer: tokenizerJson(added, {
      normalizer: {
        type: 'Sequence',
        normalizers: [
          ...charsmapNormalizers(model),
          ...(model.removeExtraWhitespaces ? [{ type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }] : []),
        ],
      },
      pre_tokenizer: { type: 'Metaspace', replacement: SPACE, add_prefix_space: true },
      post_processor: templateAround(added, { start: startToken, end: endToken }, path),
      decoder: { type: 'Metaspace', replacement: SPACE, add_prefix_space: true },
      model: { type: 'Unigram', unk_id: model.unknownId, vocab: entries },
    }),
    tokenizerConfig: {
      tokenizer_class: 'T5Tokenizer',
      eos_token: endToken,
      pad_token: padToken,
      unk_token: unknownToken,
      extra_ids: extraIds,
      clean_up_tokenization_spaces: cleanUpSpaces,
    },
  };
}

/** The tokens that the model itself sets apart. */
function ownTokens(model: SentencePieceModel): AddedToken[] {
  return model.pieces.flatMap(({ text, kind }): AddedToken[] => {
    if (kind === 'control' || kind === 'unknown') return [{ content: text, special: true }];
    return kind === 'user-defined' ? [{ content: text, special: false, normalized: false }] : [];
  });
}

function charsmapNormalizers(model: SentencePieceModel): object[] {
  if (model.charsmap.length === 0) return [];
  return [{ type: 'Precompiled', precompiled_charsmap: Buffer.from(model.charsmap).toString('base64') }];
}
