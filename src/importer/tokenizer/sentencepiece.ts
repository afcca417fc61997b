/**
 * A SentencePiece model as tokenizer.json: LLaMA's BPE with byte fallback, T5's Unigram (spec 7).
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
import { mergesOf } from './piece-merges.ts';
import { readSentencePieceModel, type SentencePieceModel } from './sentencepiece-model.ts';

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

function convertLlama(model: SentencePieceModel, path: string, options: SentencePieceOptions): ConvertedTokenizer {
  if (model.removeExtraWhitespaces || !model.byteFallback) {
    throw new CheckpointError(
      path,
      'the model joins spaces or has no byte fallback, unlike LLaMA. It is not supported.',
    );
  }
  const vocabulary = new Map(model.pieces.map(({ text }, id) => [text, id]));
  const added = placeAddedTokens(vocabulary, [...ownTokens(model), ...(options.addedTokens ?? [])], path);
  const ownStart = model.pieces[model.startId]?.text ?? null;
  const startToken = options.startToken === undefined ? ownStart : options.startToken;
  if (startToken === null && options.startToken === undefined) {
    throw new CheckpointError(path, 'the model has no piece that starts a text, as LLaMA has with "<s>".');
  }
  const unknownToken = model.pieces[model.unknownId]?.text ?? '';
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
      eos_token: model.pieces[model.endId]?.text ?? null,
      unk_token: unknownToken,
      clean_up_tokenization_spaces: options.cleanUpSpaces ?? false,
      legacy: true,
    },
  };
}

function convertT5(model: SentencePieceModel, path: string, options: SentencePieceOptions): ConvertedTokenizer {
  const { extraIds = DEFAULT_EXTRA_IDS, startToken = null } = options;
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
  if (vocabulary.size !== entries.length) {
    throw new CheckpointError(
      path,
      `the pieces already contain sentinels such as ${sentinels[0] ?? ''}, which would then occur twice.`,
    );
  }
  const added = placeAddedTokens(
    vocabulary,
    [...ownTokens(model), ...sentinels.map((content) => ({ content, special: true })), ...(options.addedTokens ?? [])],
    path,
  );
  const endToken = model.pieces[model.endId]?.text;
  if (endToken === undefined) {
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
      pad_token: model.pieces[model.padId]?.text ?? null,
      unk_token: model.pieces[model.unknownId]?.text ?? null,
      extra_ids: extraIds,
      clean_up_tokenization_spaces: options.cleanUpSpaces ?? false,
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
