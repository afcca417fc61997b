/**
 * What an import must know of a language model's architecture: how its published folders are recognised and read, which graphs it becomes,
 * and what the decoding loop is told of it. Each architecture is a file with such an entry, and `language-architectures.ts` lists them.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { NameRule, UnneededRule } from '../names/name-rule.ts';
import type { LanguageDeclaration } from '../../pack/model-declaration.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import { rowsOf, type Weight } from '../read/weight.ts';
import type { WeightCursor } from '../read/weights.ts';
import { buildEmbedTokens } from './embed-tokens.ts';

/** How the folders of an architecture are recognised, whatever the sizes of the model. */
export type LanguageArchitecture = {
  name: string;
  /** `model_type` of the config.json files that describe one. */
  modelTypes: readonly string[];
  /** What makes our names, which begin with `language_model`, of those that tensors have in a folder of the language model's own. */
  names: readonly NameRule[];
  /** Tensors, by our names, that the graphs leave over and do not miss. */
  leftOver: readonly UnneededRule[];
  /** End ids of a config.json that leaves them out: the default of transformers' config class. */
  defaultEosTokenIds: readonly number[];
};

/** What is declared of a language model before its tokenizer and its tensors are known. */
export type LanguageSizes = Omit<LanguageDeclaration, 'vocabSize' | 'eosTokenIds'>;

/** Makes the graph of a file, `NAME.onnx`. */
export type NewGraph = (name: string) => GraphBuilder;

/** An architecture with its forward pass; `Config` are the sizes of one model. */
export type BuildableArchitecture<Config> = LanguageArchitecture & {
  /** @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built. */
  readConfig(config: ObjectReader): Config;
  declare(config: Config): LanguageSizes;
  /** Name of the token embeddings [V, d], behind `language_model`. */
  tokenEmbeddings: string;
  /**
   * Builds all graphs but `embed_tokens`.
   *
   * @param weights cursor at `language_model`
   * @param tokenEmbeddings may serve as the output head too
   */
  buildGraphs(newGraph: NewGraph, weights: WeightCursor, config: Config, tokenEmbeddings: Weight): void;
};

/** A language model whose sizes are known and whose graphs are still to be built. */
export type LanguagePlan = {
  sizes: LanguageSizes;
  /** Builds its graphs. @param weights cursor at `language_model` @returns V, the rows of the vocabulary */
  build(newGraph: NewGraph, weights: WeightCursor): number;
};

export function planLanguage<Config>(architecture: BuildableArchitecture<Config>, config: Config): LanguagePlan {
  const sizes = architecture.declare(config);
  return {
    sizes,
    build(newGraph, weights) {
      const name = architecture.tokenEmbeddings;
      const tokenEmbeddings = weights.take(name, [weights.rows(name), sizes.hiddenSize]); // [V, d]
      buildEmbedTokens(newGraph('embed_tokens'), tokenEmbeddings);
      architecture.buildGraphs(newGraph, weights, config, tokenEmbeddings);
      return rowsOf(tokenEmbeddings);
    },
  };
}

/** What is declared of a model that reads its prompt as the beginning of what it writes. */
export function declareDecoder(config: Omit<LanguageSizes, 'kind' | 'decoderStartTokenId'>): LanguageSizes {
  const { hiddenSize, numHiddenLayers, numAttentionHeads, numKeyValueHeads, headDim, maxPositionEmbeddings } = config;
  return {
    kind: 'decoder-only',
    hiddenSize,
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    maxPositionEmbeddings,
    decoderStartTokenId: undefined,
  };
}

/** The rule for an output head beside the model. */
export const HEAD_NAME: NameRule = { pattern: /^lm_head\.(weight|bias)$/, name: 'language_model.lm_head.$1' };

/** An output head that is stored although it is tied to the token embeddings. */
export const TIED_HEAD: UnneededRule = {
  pattern: /^language_model\.lm_head\.weight$/,
  unneeded: 'the output head, tied to the token embeddings',
};

/** Frequencies that some files keep, and that follow from the config. */
export const ROTARY_BUFFER: NameRule = {
  pattern: /\.rotary_emb\.inv_freq$/,
  unneeded: 'a buffer of rotary frequencies',
};
