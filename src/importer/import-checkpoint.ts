/**
 * From a published checkpoint to a model pack: the one entry point of the importer.
 *
 * Order of work: read the configs, build every graph (which takes each tensor once, with its shape), look at what was left over, and only
 * then write. Weights stream from the checkpoint into the pack; memory does not grow with the checkpoint.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import {
  formatModelDeclaration,
  type Family,
  type FileDigest,
  type ModelDeclaration,
  type Precision,
} from '../pack/model-declaration.ts';
import { readBlip2OptConfig, type Blip2OptConfig } from './architectures/blip2-config.ts';
import { buildVisionEncoder } from './architectures/eva-vit.ts';
import { buildDecoder, buildEmbedTokens, takeTokenEmbeddings } from './architectures/opt.ts';
import { buildQFormer } from './architectures/qformer.ts';
import { GraphBuilder } from './graph/builder.ts';
import { ExternalData } from './graph/external-data.ts';
import { leftOverReason } from './names/huggingface.ts';
import { CheckpointFolder } from './read/checkpoint-folder.ts';
import { readImageDeclaration } from './read/image-processor.ts';
import { CheckpointWeights } from './read/weights.ts';

/** Tokenizer files, copied as published. */
const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json'] as const;

/** What is known once the configs are read and the graphs are built, before anything is written. */
export type ImportPlan = {
  family: Family;
  precision: Precision;
  /** Bytes of the weights in the pack. */
  weightBytes: number;
  tensorsUsed: number;
  /** Tensors that the architecture does not use, with the reason. */
  leftOver: { name: string; shape: readonly number[]; reason: string }[];
};

export type ImportOptions = {
  /** Folder of the checkpoint. */
  source: string;
  id: string;
  precision: Precision;
  /** Called once, before writing. */
  onPlan?: (plan: ImportPlan) => void;
  /** Called with the weight bytes written since the last call. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
};

/**
 * Imports a checkpoint into the existing, empty folder `directory`.
 *
 * @throws CheckpointError, ShapeError when the checkpoint is not what an architecture expects.
 */
export async function importCheckpoint(directory: string, options: ImportOptions): Promise<ModelDeclaration> {
  const checkpoint = await CheckpointFolder.open(options.source);
  try {
    return await importBlip2Opt(checkpoint, directory, options);
  } finally {
    await checkpoint.close();
  }
}

async function importBlip2Opt(
  checkpoint: CheckpointFolder,
  directory: string,
  options: ImportOptions,
): Promise<ModelDeclaration> {
  const { precision, id, signal } = options;
  const family = await recognizeFamily(checkpoint);
  const config = readBlip2OptConfig(await checkpoint.json('config.json'));
  const image = await readImageDeclaration(checkpoint);
  if (image.imageSize !== config.vision.imageSize) {
    throw new CheckpointError(
      checkpoint.directory,
      `preprocessor_config.json makes images of ${image.imageSize} pixels, but config.json expects ${config.vision.imageSize}.`,
    );
  }
  const external = new ExternalData();
  const weights = new CheckpointWeights(checkpoint);
  const { graphs, vocabSize } = buildGraphs(weights, external, config, precision);

  const leftOver = explainLeftOver(weights);
  options.onPlan?.({
    family,
    precision,
    weightBytes: external.totalBytes,
    tensorsUsed: weights.used.length,
    leftOver,
  });

  for (const graph of graphs) await writeFile(join(directory, graph.fileName), graph.encode());
  await external.write(directory, options.onBytes ?? (() => {}), signal);
  const tokenizerFiles = await copyTokenizer(checkpoint, directory);

  const files: FileDigest[] = [];
  for (const path of [...graphs.map((graph) => graph.fileName), ...external.locations, ...tokenizerFiles]) {
    files.push(await digestFile(join(directory, path), signal));
  }
  const sources: FileDigest[] = [];
  for (const path of [join(checkpoint.directory, 'config.json'), ...checkpoint.weightPaths])
    sources.push(await digestFile(path, signal));

  const { text } = config;
  const declaration: ModelDeclaration = {
    schema: 1,
    id,
    family,
    promptFamily: 'blip2',
    precision,
    image,
    numQueryTokens: config.numQueryTokens,
    language: {
      hiddenSize: text.hiddenSize,
      numHiddenLayers: text.numHiddenLayers,
      numAttentionHeads: text.numAttentionHeads,
      headDim: text.hiddenSize / text.numAttentionHeads,
      vocabSize,
      maxPositionEmbeddings: text.maxPositionEmbeddings,
      bosTokenId: text.bosTokenId,
      eosTokenId: text.eosTokenId,
      padTokenId: text.padTokenId,
    },
    source: { files: sources },
    files,
  };
  await writeFile(join(directory, 'model.json'), formatModelDeclaration(declaration));
  return declaration;
}

function buildGraphs(
  weights: CheckpointWeights,
  external: ExternalData,
  config: Blip2OptConfig,
  precision: Precision,
): { graphs: GraphBuilder[]; vocabSize: number } {
  const { vision, qformer, text, numQueryTokens } = config;
  const imageTokenCount = Math.floor(vision.imageSize / vision.patchSize) ** 2 + 1;

  const visionEncoder = new GraphBuilder('vision_encoder', external, precision);
  buildVisionEncoder(visionEncoder, weights.at('vision_model'), vision);

  const qformerGraph = new GraphBuilder('qformer', external, precision);
  buildQFormer(qformerGraph, weights, qformer, numQueryTokens, imageTokenCount, text.hiddenSize);

  const languageModel = weights.at('language_model');
  const tokenEmbeddings = takeTokenEmbeddings(languageModel, text);
  const embedTokens = new GraphBuilder('embed_tokens', external, precision);
  buildEmbedTokens(embedTokens, tokenEmbeddings);

  const decoder = new GraphBuilder('decoder', external, precision);
  buildDecoder(decoder, languageModel, text, tokenEmbeddings);
  return { graphs: [visionEncoder, qformerGraph, embedTokens, decoder], vocabSize: tokenEmbeddings.shape[0] ?? 0 };
}

async function recognizeFamily(checkpoint: CheckpointFolder): Promise<Family> {
  const config = await checkpoint.json('config.json');
  const modelType = config.string('model_type');
  const text = config.objectOrEmpty('text_config');
  const textType = text.has('model_type') ? text.string('model_type') : 'opt';
  if (modelType === 'blip-2' && textType === 'opt') return 'blip2-opt';
  throw new CheckpointError(
    checkpoint.directory,
    `config.json describes model_type "${modelType}" with a "${textType}" language model; this version imports "blip-2" with "opt".`,
  );
}

/** @throws CheckpointError for a left-over tensor that no known checkpoint has: the architecture would ignore something that matters. */
function explainLeftOver(weights: CheckpointWeights): ImportPlan['leftOver'] {
  return weights.leftOver.map(({ name, shape, file }) => {
    const reason = leftOverReason(name);
    if (reason === undefined) {
      throw new CheckpointError(
        file,
        `tensor ${name} [${shape.join(', ')}] is not known to this architecture. Is the checkpoint of another family?`,
      );
    }
    return { name, shape, reason };
  });
}

async function copyTokenizer(checkpoint: CheckpointFolder, directory: string): Promise<string[]> {
  for (const name of TOKENIZER_FILES) {
    if (!(await checkpoint.has(name))) {
      throw new CheckpointError(checkpoint.directory, `${name} is missing. Download it beside the weights.`);
    }
    await copyFile(join(checkpoint.directory, name), join(directory, name));
  }
  return [...TOKENIZER_FILES];
}

async function digestFile(path: string, signal?: AbortSignal): Promise<FileDigest> {
  const hash = createHash('sha256');
  const stream = createReadStream(path, { highWaterMark: 2 ** 20, ...(signal === undefined ? {} : { signal }) });
  for await (const chunk of stream) hash.update(chunk as Buffer);
  const { size } = await stat(path);
  return { path: basename(path), bytes: size, sha256: hash.digest('hex') };
}
