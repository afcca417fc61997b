/** The language model of a tiny T5 checkpoint as a pack, built straight from its tensors. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildEmbedTokens } from '../../src/importer/architectures/opt.ts';
import { readT5Config, type T5Config } from '../../src/importer/architectures/t5-config.ts';
import { buildCrossKv, buildT5Decoder, buildT5Encoder, takeT5Embeddings } from '../../src/importer/architectures/t5.ts';
import { HUGGINGFACE_NAMES } from '../../src/importer/names/huggingface.ts';
import { elementCount } from '../../src/importer/read/weight.ts';
import type { LanguageDeclaration } from '../../src/pack/model-declaration.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import { openWeights, writePack, type OpenWeights } from '../vision/tiny-pack.ts';

export type T5Pack = { directory: string; language: LanguageDeclaration; config: T5Config; leftOver: string[] };

/** @param model folder with config.json, whose text_config is read, and model.safetensors */
export async function buildT5Pack(model: string): Promise<T5Pack> {
  const config = ObjectReader.parse(await readFile(join(model, 'config.json'), 'utf8'), 'config.json');
  const opened = await openWeights([join(model, 'model.safetensors')], HUGGINGFACE_NAMES);
  return writeT5Pack(opened, readT5Config(config.object('text_config')));
}

/** Builds the four graphs from tensors under `language_model`, and closes the files. */
export async function writeT5Pack({ weights, close }: OpenWeights, config: T5Config): Promise<T5Pack> {
  const cursor = weights.at('language_model');
  const embeddings = takeT5Embeddings(cursor, config);
  const { directory } = await writePack({}, (graph) => {
    buildEmbedTokens(graph('embed_tokens'), embeddings);
    buildT5Encoder(graph('encoder'), cursor, config);
    buildCrossKv(graph('cross_kv'), cursor, config);
    buildT5Decoder(graph('decoder'), cursor, config, embeddings);
  });
  await close();
  const language: LanguageDeclaration = {
    kind: 'encoder-decoder',
    hiddenSize: config.dModel,
    numHiddenLayers: config.numDecoderLayers,
    numAttentionHeads: config.numHeads,
    numKeyValueHeads: config.numHeads,
    headDim: config.dKv,
    vocabSize: elementCount(embeddings.shape) / config.dModel,
    maxPositionEmbeddings: 512,
    eosTokenIds: [1],
    decoderStartTokenId: config.decoderStartTokenId,
  };
  return { directory, language, config, leftOver: [...weights.leftOver.keys()] };
}
