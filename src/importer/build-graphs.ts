/** Builds the graphs of a model from its sizes and weights, in the order of the data's way: image encoder, bridge, language model. */
import type { Family, LanguageDeclaration, MatchingHead, Precision } from '../pack/model-declaration.ts';
import { buildVisionEncoder } from './architectures/eva-vit.ts';
import { buildLlamaDecoder, takeLlamaEmbeddings } from './architectures/llama.ts';
import { buildDecoder, buildEmbedTokens, takeTokenEmbeddings } from './architectures/opt.ts';
import { buildPhiDecoder, takePhiEmbeddings } from './architectures/phi.ts';
import {
  buildItgDecoder,
  buildItgPrefix,
  hasLanguageHead,
  takeLanguageHead,
} from './architectures/qformer-captioning.ts';
import { buildItcImage, buildItcText, buildItm, takeMatchingWeights } from './architectures/qformer-matching.ts';
import { buildPatchProjection } from './architectures/qformer-projection.ts';
import { buildInstructionQFormer, buildQFormer } from './architectures/qformer.ts';
import { buildCrossKv, buildT5Decoder, buildT5Encoder, takeT5Embeddings } from './architectures/t5.ts';
import { FAMILY_TRAITS } from './families.ts';
import { GraphBuilder } from './graph/builder.ts';
import type { ExternalData } from './graph/external-data.ts';
import { declareLanguage, declareQFormer } from './language-declaration.ts';
import { languageHiddenSize, type LanguageConfig, type ModelConfig } from './model-config.ts';
import type { Weight } from './read/weight.ts';
import type { CheckpointWeights, WeightCursor } from './read/weights.ts';

export type BuiltGraphs = {
  graphs: GraphBuilder[];
  /** What writes the text; undefined for packs that only match. */
  language: Omit<LanguageDeclaration, 'eosTokenIds'> | undefined;
  /** Positions that an image takes in the language model's input. */
  numImageTokens: number;
  matching: MatchingHead[];
  /** Positions that the Q-Former has for a text to match; undefined where it matches none. */
  textPositions?: number;
};

/** Makes the graph of a file, `NAME.onnx`. */
type NewGraph = (name: string) => GraphBuilder;

export function buildGraphs(
  weights: CheckpointWeights,
  external: ExternalData,
  family: Family,
  config: ModelConfig,
  precision: Precision,
): BuiltGraphs {
  const graphs: GraphBuilder[] = [];
  const newGraph: NewGraph = (name) => {
    const builder = new GraphBuilder(name, external, precision);
    graphs.push(builder);
    return builder;
  };
  buildVisionEncoder(newGraph('vision_encoder'), weights.at('vision_model'), config.vision);
  const bridge = buildBridge(newGraph, weights, family, config);
  if (config.language === undefined) return { graphs, language: undefined, ...bridge };
  const vocabSize = buildLanguageModel(newGraph, weights, config.language);
  return { graphs, ...bridge, language: declareLanguage(config.language, vocabSize) };
}

function buildBridge(
  newGraph: NewGraph,
  weights: CheckpointWeights,
  family: Family,
  config: ModelConfig,
): Omit<BuiltGraphs, 'graphs' | 'language'> & Partial<Pick<BuiltGraphs, 'language'>> {
  const { vision, qformer, numQueryTokens, language } = config;
  const patches = Math.floor(vision.imageSize / vision.patchSize) ** 2;
  if (qformer === undefined) {
    const width = languageHiddenSize(language);
    buildPatchProjection(newGraph('qformer'), weights, patches + 1, vision.hiddenSize, width);
    return { numImageTokens: patches / 4, matching: [] };
  }
  if (FAMILY_TRAITS[family].bridge === 'matching') {
    return { numImageTokens: numQueryTokens, ...buildMatching(newGraph, weights, config, patches + 1) };
  }
  const build = FAMILY_TRAITS[family].bridge === 'instruction' ? buildInstructionQFormer : buildQFormer;
  build(newGraph('qformer'), weights, qformer, numQueryTokens, patches + 1, languageHiddenSize(language));
  return { numImageTokens: numQueryTokens, matching: [] };
}

function buildMatching(
  newGraph: NewGraph,
  weights: CheckpointWeights,
  { qformer, numQueryTokens }: ModelConfig,
  imageTokenCount: number,
): Pick<BuiltGraphs, 'matching' | 'language' | 'textPositions'> {
  if (qformer === undefined) throw new RangeError('matching is done by a Q-Former');
  const matching = takeMatchingWeights(weights, qformer, numQueryTokens);
  buildItcImage(newGraph('itc_image'), matching, qformer, imageTokenCount);
  buildItcText(newGraph('itc_text'), matching, qformer);
  buildItm(newGraph('itm'), matching, qformer, imageTokenCount);
  const textPositions = matching.text.positionEmbeddings.shape[0] ?? 0;
  if (!hasLanguageHead(weights)) return { matching: ['itc', 'itm'], language: undefined, textPositions };
  buildItgPrefix(newGraph('itg_prefix'), matching.qformer, qformer, imageTokenCount);
  const head = takeLanguageHead(weights, qformer);
  buildItgDecoder(newGraph('itg_decoder'), matching.qformer, matching.text, head, qformer);
  buildEmbedTokens(newGraph('embed_tokens'), matching.text.wordEmbeddings);
  const language = declareQFormer(qformer, matching.text, numQueryTokens);
  return { matching: ['itc', 'itm', 'itg'], language, textPositions };
}

/** Returns the rows of the vocabulary. */
function buildLanguageModel(newGraph: NewGraph, weights: CheckpointWeights, language: LanguageConfig): number {
  const cursor = weights.at('language_model');
  const tokenEmbeddings = takeEmbeddings(cursor, language);
  buildEmbedTokens(newGraph('embed_tokens'), tokenEmbeddings);
  switch (language.architecture) {
    case 'opt':
      buildDecoder(newGraph('decoder'), cursor, language.config, tokenEmbeddings);
      break;
    case 'llama':
      buildLlamaDecoder(newGraph('decoder'), cursor, language.config, tokenEmbeddings);
      break;
    case 'phi':
      buildPhiDecoder(newGraph('decoder'), cursor, language.config);
      break;
    case 't5':
      buildT5Encoder(newGraph('encoder'), cursor, language.config);
      buildCrossKv(newGraph('cross_kv'), cursor, language.config);
      buildT5Decoder(newGraph('decoder'), cursor, language.config, tokenEmbeddings);
      break;
  }
  return tokenEmbeddings.shape[0] ?? 0;
}

function takeEmbeddings(weights: WeightCursor, language: LanguageConfig): Weight {
  switch (language.architecture) {
    case 'opt':
      return takeTokenEmbeddings(weights, language.config);
    case 'llama':
      return takeLlamaEmbeddings(weights, language.config);
    case 'phi':
      return takePhiEmbeddings(weights, language.config);
    default:
      return takeT5Embeddings(weights, language.config);
  }
}
