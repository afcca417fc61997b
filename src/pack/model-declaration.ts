/**
 * `model.json`: what a model pack says of itself, and the only thing that importer and runner agree on.
 *
 * Keys keep the spelling of the published configs (`num_query_tokens`, `max_position_embeddings`, …); in TypeScript they are the same
 * words in camelCase. The file is validated once, here; unknown keys are an error, so that a newer pack is refused instead of half understood.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { PackError } from '../errors.ts';
import { BRIDGES, impliedBridge, type Bridge } from './bridge.ts';
import { ObjectReader } from './object-reader.ts';

/** The architectures this version can run. */
export const FAMILIES = [
  'blip2-opt',
  'blip2-t5',
  'blip2-itm',
  'instructblip-t5',
  'instructblip-vicuna',
  'minigpt4-vicuna',
  'minigpt4-llama2',
  'minigpt-v2',
  'tinygpt-v',
  'tinygpt-v-stage4',
] as const;
export type Family = (typeof FAMILIES)[number];

/** How a pack's weights are stored. The arithmetic is float32, but for the linear layers of int8 and int4, which multiply whole numbers. */
export const PRECISIONS = ['fp32', 'fp16', 'int12', 'int8', 'int4'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** A file of the pack or of its source, with what is needed to check it. */
export type FileDigest = { path: string; bytes: number; sha256: string };

/** How pixels become `pixel_values`. */
export type ImageDeclaration = {
  /** Side S of the square input, in pixels. */
  imageSize: number;
  /** Multiplied to each 8-bit sample before mean and std apply (1/255). */
  rescaleFactor: number;
  imageMean: readonly [number, number, number];
  imageStd: readonly [number, number, number];
};

/** How a language model reads its prompt: as the beginning of what it writes, or with an encoder of its own. */
export const LANGUAGE_KINDS = ['decoder-only', 'encoder-decoder'] as const;

/** What the decoding loop must know of the language model. */
export type LanguageDeclaration = {
  kind: (typeof LANGUAGE_KINDS)[number];
  hiddenSize: number;
  /** Layers that keep keys and values of what is written: those of the decoder. */
  numHiddenLayers: number;
  numAttentionHeads: number;
  /** Heads of the cache; fewer than those of the queries where several share one. */
  numKeyValueHeads: number;
  headDim: number;
  vocabSize: number;
  /** Longest sequence of image tokens, prompt and generated tokens together. */
  maxPositionEmbeddings: number;
  /** Any of these ends an answer. */
  eosTokenIds: readonly number[];
  /** What an encoder–decoder model begins to write with; absent from decoder-only ones. */
  decoderStartTokenId: number | undefined;
};

/** What a pack without a language model can tell of an image and a text, and what it can write by itself. */
export const MATCHING_HEADS = ['itc', 'itm', 'itg'] as const;
export type MatchingHead = (typeof MATCHING_HEADS)[number];

/** What is done to a text before its tokens are looked up: nothing, or what LAVIS' `blip_caption` processor does. */
export const TEXT_PROCESSORS = ['none', 'blip_caption'] as const;

/** How a text that is matched with images reaches the Q-Former. */
export type MatchingText = {
  textProcessor: (typeof TEXT_PROCESSORS)[number];
  /** Tokens that are read of a text, start and end included. */
  maxTxtLen: number;
};

/** How many weights of a file are stored in a certain way, and in how many bytes. */
export type StorageShare = { path: string; storage: string; weights: number; bytes: number };

export type ModelDeclaration = {
  schema: 1;
  id: string;
  family: Family;
  /** Name of a file in `prompts/`; undefined without a language model. */
  promptFamily: string | undefined;
  precision: Precision;
  image: ImageDeclaration;
  /** Positions that an image takes in the language model's input. */
  numImageTokens: number;
  bridge: Bridge;
  /** Undefined for packs that only match images with texts. */
  language: LanguageDeclaration | undefined;
  matching: readonly MatchingHead[];
  /** Undefined where nothing is matched, and in packs that were imported before it was recorded. */
  matchingText?: MatchingText | undefined;
  /** How the weights are stored, file by file: a precision may leave sensitive ones as they are. */
  storage: readonly StorageShare[];
  /** Where the weights came from. */
  source: { files: readonly FileDigest[] };
  /** Every file of the pack but `model.json` itself. */
  files: readonly FileDigest[];
};

/** A declaration together with where it lies and the digest of its file, which covers every file of the pack through their sha256. */
export type Pack = { directory: string; declaration: ModelDeclaration; digest: string };

/**
 * Reads and validates `model.json` of a pack folder.
 *
 * @throws PackError when the file is missing, is not JSON, or has a missing, unknown or mistyped key.
 */
export async function readPack(directory: string): Promise<Pack> {
  const path = join(directory, 'model.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new PackError(directory, 'this folder has no readable model.json, so it is not a model pack.', { cause });
  }
  return { directory, declaration: parseModelDeclaration(text, path), digest: sha256(text) };
}

/** Validates the text of a `model.json`. `path` is only for messages. */
export function parseModelDeclaration(text: string, path: string): ModelDeclaration {
  const root = ObjectReader.parse(text, path);
  const schema = root.integer('schema');
  if (schema !== 1) {
    throw new PackError(
      path,
      `it has schema ${schema}, but this version of minigpt reads schema 1. Import the model again.`,
    );
  }
  const image = root.object('image');
  const source = root.object('source');
  const matching = readMatching(root);
  const storage = root.list('storage').map(readStorageShare);
  const declaration: ModelDeclaration = {
    schema,
    id: root.string('id'),
    family: root.oneOf('family', FAMILIES),
    promptFamily: root.has('prompt_family') ? root.string('prompt_family') : undefined,
    precision: root.oneOf('precision', PRECISIONS),
    image: {
      imageSize: image.integer('image_size'),
      rescaleFactor: image.number('rescale_factor'),
      imageMean: image.triple('image_mean'),
      imageStd: image.triple('image_std'),
    },
    numImageTokens: root.integer('num_image_tokens'),
    bridge: readBridge(root, { matching, storage }),
    language: root.has('language') ? readLanguage(root.object('language')) : undefined,
    matching,
    matchingText: root.has('matching_text') ? readMatchingText(root.object('matching_text')) : undefined,
    storage,
    source: { files: source.list('files').map(readFileDigest) },
    files: root.list('files').map(readFileDigest),
  };
  const { promptFamily, language } = declaration;
  if (promptFamily !== undefined && language === undefined)
    root.fail('language', 'an object, since there is a prompt_family');
  if (promptFamily === undefined && matching.length === 0)
    root.fail('prompt_family', 'a string, since the pack does not match either');
  for (const reader of [image, source, root]) reader.refuseUnknownKeys();
  return declaration;
}

/**
 * Two keys speak of the bridge: `reads_instruction`, which every pack has, and `bridge`, which packs that were imported before there was
 * such a key lack.
 */
function readBridge(root: ObjectReader, pack: Pick<ModelDeclaration, 'matching' | 'storage'>): Bridge {
  const readsInstruction = root.boolean('reads_instruction');
  if (!root.has('bridge')) return impliedBridge(readsInstruction, pack);
  const bridge = root.oneOf('bridge', BRIDGES);
  if (readsInstruction !== (bridge === 'instruction'))
    root.fail('reads_instruction', `${String(!readsInstruction)}, since the bridge is ${bridge}`);
  return bridge;
}

function readLanguage(language: ObjectReader): LanguageDeclaration {
  const declaration = {
    kind: language.oneOf('kind', LANGUAGE_KINDS),
    hiddenSize: language.integer('hidden_size'),
    numHiddenLayers: language.integer('num_hidden_layers'),
    numAttentionHeads: language.integer('num_attention_heads'),
    numKeyValueHeads: language.integer('num_key_value_heads'),
    headDim: language.integer('head_dim'),
    vocabSize: language.integer('vocab_size'),
    maxPositionEmbeddings: language.integer('max_position_embeddings'),
    eosTokenIds: language.integers('eos_token_ids'),
    decoderStartTokenId: language.has('decoder_start_token_id')
      ? language.integer('decoder_start_token_id')
      : undefined,
  };
  if (declaration.kind === 'encoder-decoder' && declaration.decoderStartTokenId === undefined)
    language.fail('decoder_start_token_id', 'a token id, for an encoder-decoder model');
  language.refuseUnknownKeys();
  return declaration;
}

function readMatching(root: ObjectReader): MatchingHead[] {
  const names = root.strings('matching');
  const heads = MATCHING_HEADS.filter((head) => names.includes(head));
  if (heads.length !== names.length) root.fail('matching', `a list of ${MATCHING_HEADS.join(', ')}`);
  return heads;
}

function readMatchingText(text: ObjectReader): MatchingText {
  const declaration = {
    textProcessor: text.oneOf('text_processor', TEXT_PROCESSORS),
    maxTxtLen: text.integer('max_txt_len'),
  };
  text.refuseUnknownKeys();
  // The start and the end of a text take two.
  if (declaration.maxTxtLen < 3) text.fail('max_txt_len', 'at least 3');
  return declaration;
}

/** The text of `model.json` for a declaration; `parseModelDeclaration` reads back the same value. */
export function formatModelDeclaration(declaration: ModelDeclaration): string {
  const { image, language, matchingText } = declaration;
  const json = {
    schema: declaration.schema,
    id: declaration.id,
    family: declaration.family,
    prompt_family: declaration.promptFamily,
    precision: declaration.precision,
    image: {
      image_size: image.imageSize,
      rescale_factor: image.rescaleFactor,
      image_mean: image.imageMean,
      image_std: image.imageStd,
    },
    num_image_tokens: declaration.numImageTokens,
    bridge: declaration.bridge,
    reads_instruction: declaration.bridge === 'instruction',
    language: language && {
      kind: language.kind,
      hidden_size: language.hiddenSize,
      num_hidden_layers: language.numHiddenLayers,
      num_attention_heads: language.numAttentionHeads,
      num_key_value_heads: language.numKeyValueHeads,
      head_dim: language.headDim,
      vocab_size: language.vocabSize,
      max_position_embeddings: language.maxPositionEmbeddings,
      eos_token_ids: language.eosTokenIds,
      decoder_start_token_id: language.decoderStartTokenId,
    },
    matching: declaration.matching,
    matching_text: matchingText && {
      text_processor: matchingText.textProcessor,
      max_txt_len: matchingText.maxTxtLen,
    },
    storage: declaration.storage,
    source: declaration.source,
    files: declaration.files,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function readStorageShare(reader: ObjectReader): StorageShare {
  const share = {
    path: reader.string('path'),
    storage: reader.string('storage'),
    weights: reader.integer('weights'),
    bytes: reader.integer('bytes'),
  };
  reader.refuseUnknownKeys();
  return share;
}

function readFileDigest(reader: ObjectReader): FileDigest {
  const digest = { path: reader.string('path'), bytes: reader.integer('bytes'), sha256: reader.string('sha256') };
  if (!/^[0-9a-f]{64}$/.test(digest.sha256)) reader.fail('sha256', '64 hexadecimal digits');
  reader.refuseUnknownKeys();
  return digest;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
