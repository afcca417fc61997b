/** Builds the graphs of a model from its sizes and weights, in the order of the data's way: image encoder, bridge, language model. */
import type { Bridge } from '../pack/bridge.ts';
import type { LanguageDeclaration, Precision } from '../pack/model-declaration.ts';
import { BRIDGE_ARCHITECTURES, type BuiltBridge } from './architectures/bridges.ts';
import { buildVisionEncoder } from './architectures/eva-vit.ts';
import type { NewGraph } from './architectures/language-architecture.ts';
import { GraphBuilder } from './graph/builder.ts';
import type { ExternalData } from './graph/external-data.ts';
import type { ModelConfig } from './model-config.ts';
import type { CheckpointWeights } from './read/weights.ts';

export type BuiltGraphs = Omit<BuiltBridge, 'language'> & {
  graphs: GraphBuilder[];
  /** What writes the text; undefined for packs that only match. */
  language: Omit<LanguageDeclaration, 'eosTokenIds'> | undefined;
};

export function buildGraphs(
  weights: CheckpointWeights,
  external: ExternalData,
  bridge: Bridge,
  { vision, qformer, numQueryTokens, language }: ModelConfig,
  precision: Precision,
): BuiltGraphs {
  const graphs: GraphBuilder[] = [];
  const newGraph: NewGraph = (name) => {
    const builder = new GraphBuilder(name, external, precision);
    graphs.push(builder);
    return builder;
  };
  buildVisionEncoder(newGraph('vision_encoder'), weights.at('vision_model'), vision);
  const languageHiddenSize = language?.sizes.hiddenSize;
  const sizes = { vision, qformer, numQueryTokens, languageHiddenSize };
  const built = BRIDGE_ARCHITECTURES[bridge].build(newGraph, weights, sizes);
  if (language === undefined) return { language: undefined, ...built, graphs };
  const vocabSize = language.build(newGraph, weights.at('language_model'));
  return { ...built, graphs, language: { ...language.sizes, vocabSize } };
}
