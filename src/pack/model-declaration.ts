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
import { ObjectReader } from './object-reader.ts';

/** The architectures this version can run. */
export const FAMILIES = ['blip2-opt'] as const;
export type Family = (typeof FAMILIES)[number];

/** How the weights are stored in the pack's files. The arithmetic is float32 in every case. */
export const PRECISIONS = ['fp32', 'fp16', 'int12'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** A file of the pack or of its source, with what is needed to check it. */
export type FileDigest = { path: string; bytes: number; sha256: string };

/** How pixels become `pixel_values` (spec 5). */
export type ImageDeclaration = {
  /** Side S of the square input, in pixels. */
  imageSize: number;
  /** Multiplied to each 8-bit sample before mean and std apply (1/255). */
  rescaleFactor: number;
  imageMean: readonly [number, number, number];
  imageStd: readonly [number, number, number];
};

/** What the decoding loop must know of the language model. */
export type LanguageDeclaration = {
  hiddenSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  headDim: number;
  vocabSize: number;
  /** Longest sequence of image tokens, prompt and generated tokens together. */
  maxPositionEmbeddings: number;
  bosTokenId: number;
  eosTokenId: number;
  padTokenId: number;
};

export type ModelDeclaration = {
  schema: 1;
  id: string;
  family: Family;
  /** Name of a file in `prompts/`. */
  promptFamily: string;
  precision: Precision;
  image: ImageDeclaration;
  numQueryTokens: number;
  language: LanguageDeclaration;
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
  const language = root.object('language');
  const source = root.object('source');
  const declaration: ModelDeclaration = {
    schema,
    id: root.string('id'),
    family: root.oneOf('family', FAMILIES),
    promptFamily: root.string('prompt_family'),
    precision: root.oneOf('precision', PRECISIONS),
    image: {
      imageSize: image.integer('image_size'),
      rescaleFactor: image.number('rescale_factor'),
      imageMean: image.triple('image_mean'),
      imageStd: image.triple('image_std'),
    },
    numQueryTokens: root.integer('num_query_tokens'),
    language: {
      hiddenSize: language.integer('hidden_size'),
      numHiddenLayers: language.integer('num_hidden_layers'),
      numAttentionHeads: language.integer('num_attention_heads'),
      headDim: language.integer('head_dim'),
      vocabSize: language.integer('vocab_size'),
      maxPositionEmbeddings: language.integer('max_position_embeddings'),
      bosTokenId: language.integer('bos_token_id'),
      eosTokenId: language.integer('eos_token_id'),
      padTokenId: language.integer('pad_token_id'),
    },
    source: { files: source.list('files').map(readFileDigest) },
    files: root.list('files').map(readFileDigest),
  };
  for (const reader of [image, language, source, root]) reader.refuseUnknownKeys();
  return declaration;
}

/** The text of `model.json` for a declaration; `parseModelDeclaration` reads back the same value. */
export function formatModelDeclaration(declaration: ModelDeclaration): string {
  const { image, language } = declaration;
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
    num_query_tokens: declaration.numQueryTokens,
    language: {
      hidden_size: language.hiddenSize,
      num_hidden_layers: language.numHiddenLayers,
      num_attention_heads: language.numAttentionHeads,
      head_dim: language.headDim,
      vocab_size: language.vocabSize,
      max_position_embeddings: language.maxPositionEmbeddings,
      bos_token_id: language.bosTokenId,
      eos_token_id: language.eosTokenId,
      pad_token_id: language.padTokenId,
    },
    source: declaration.source,
    files: declaration.files,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function readFileDigest(reader: ObjectReader): FileDigest {
  const digest = { path: reader.string('path'), bytes: reader.integer('bytes'), sha256: reader.string('sha256') };
  reader.refuseUnknownKeys();
  return digest;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
