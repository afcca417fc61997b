/** A pack of BLIP-2's first stage from a tiny checkpoint: image encoder, matching, and captioning where the checkpoint has an output head. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildVisionEncoder, readVisionConfig } from '../../src/importer/architectures/eva-vit.ts';
import { buildEmbedTokens } from '../../src/importer/architectures/embed-tokens.ts';
import {
  buildItgDecoder,
  buildItgPrefix,
  hasLanguageHead,
  takeLanguageHead,
} from '../../src/importer/architectures/qformer-captioning.ts';
import { readQFormerConfig } from '../../src/importer/architectures/qformer-config.ts';
import {
  buildItcImage,
  buildItcText,
  buildItm,
  takeMatchingWeights,
} from '../../src/importer/architectures/qformer-matching.ts';
import { HUGGINGFACE_NAMES } from '../../src/importer/names/huggingface.ts';
import { lavisNames } from '../../src/importer/names/lavis.ts';
import type { NameRule } from '../../src/importer/names/name-rule.ts';
import { elementCount } from '../../src/importer/read/weight.ts';
import type { LanguageDeclaration, Pack } from '../../src/pack/model-declaration.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import { openWeights, squareOf, writePack } from './tiny-pack.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');

type Checkpoint = { weights: readonly string[]; config: string; rules: readonly NameRule[] };

const CHECKPOINTS = {
  'hf-blip2-itm': { weights: ['model/model.safetensors'], config: 'model/config.json', rules: HUGGINGFACE_NAMES },
  'lavis-blip2-qformer': {
    weights: ['eva_vit_g.pth', 'blip2_pretrained.pth'],
    config: 'architecture.json',
    rules: lavisNames(),
  },
} as const satisfies Record<string, Checkpoint>;

export type FirstStagePack = {
  /** Where the golden record lies. */
  fixture: string;
  pack: Pack;
  /** Names of the graphs. */
  graphs: string[];
  leftOver: string[];
  /** Bytes of the tensors that the graphs took, in float32. */
  takenBytes: number;
};

export async function buildFirstStagePack(name: keyof typeof CHECKPOINTS): Promise<FirstStagePack> {
  const { weights: files, config: configName, rules } = CHECKPOINTS[name];
  const fixture = join(FIXTURES, name);
  const config = ObjectReader.parse(await readFile(join(fixture, configName), 'utf8'), configName);
  const vision = readVisionConfig(config.object('vision_config'), {
    imageSize: 224,
    layerNormEps: 1e-6,
    postLayerNormEps: 1e-6,
    mayLackPostLayernorm: false,
  });
  const qformer = readQFormerConfig(config.object('qformer_config'), vision.hiddenSize);
  const numQueryTokens = config.integer('num_query_tokens');
  const paths = files.map((file) => join(fixture, file));
  const { weights, close } = await openWeights(paths, rules);
  const graphs: string[] = [];
  // What a Q-Former says of itself as a language model.
  const language: LanguageDeclaration = {
    kind: 'decoder-only',
    hiddenSize: qformer.hiddenSize,
    numHiddenLayers: qformer.numHiddenLayers,
    numAttentionHeads: qformer.numAttentionHeads,
    numKeyValueHeads: qformer.numAttentionHeads,
    headDim: qformer.hiddenSize / qformer.numAttentionHeads,
    vocabSize: weights.rows('qformer.embeddings.word_embeddings.weight'),
    maxPositionEmbeddings: numQueryTokens + weights.rows('qformer.embeddings.position_embeddings.weight'),
    eosTokenIds: [102],
    decoderStartTokenId: undefined,
  };
  const declaration = { image: squareOf(vision.imageSize), numImageTokens: numQueryTokens, language };
  const pack = await writePack(declaration, (newGraph) => {
    const graph: typeof newGraph = (graphName) => {
      graphs.push(graphName);
      return newGraph(graphName);
    };
    const imageTokenCount = (vision.imageSize / vision.patchSize) ** 2 + 1;
    buildVisionEncoder(graph('vision_encoder'), weights.at('vision_model'), vision);
    const matching = takeMatchingWeights(weights, qformer, numQueryTokens);
    buildItcImage(graph('itc_image'), matching, qformer, imageTokenCount);
    buildItcText(graph('itc_text'), matching, qformer);
    buildItm(graph('itm'), matching, qformer, imageTokenCount);
    if (!hasLanguageHead(weights)) return;
    const head = takeLanguageHead(weights, qformer);
    buildItgPrefix(graph('itg_prefix'), matching.qformer, qformer, imageTokenCount);
    buildEmbedTokens(graph('embed_tokens'), matching.text.wordEmbeddings);
    buildItgDecoder(graph('itg_decoder'), matching.qformer, matching.text, head, qformer);
  });
  await close();
  return {
    fixture,
    pack,
    graphs,
    leftOver: [...weights.leftOver.keys()],
    takenBytes: weights.used.reduce((sum, tensor) => sum + 4 * elementCount(weights.shapeOf(tensor)), 0),
  };
}
