/** What the decoding loop must know of the language model that was built. */
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import type { QFormerConfig } from './architectures/qformer-config.ts';
import type { TextEmbeddingWeights } from './architectures/qformer-weights.ts';
import type { LanguageConfig } from './model-config.ts';

/** T5 has no limit by construction; it was trained on so many positions. */
const T5_POSITIONS = 512;

export function declareLanguage(language: LanguageConfig, vocabSize: number): Omit<LanguageDeclaration, 'eosTokenIds'> {
  if (language.architecture === 't5') {
    const { dModel, numDecoderLayers, numHeads, dKv, decoderStartTokenId } = language.config;
    return {
      kind: 'encoder-decoder',
      hiddenSize: dModel,
      numHiddenLayers: numDecoderLayers,
      numAttentionHeads: numHeads,
      numKeyValueHeads: numHeads,
      headDim: dKv,
      vocabSize,
      maxPositionEmbeddings: T5_POSITIONS,
      decoderStartTokenId,
    };
  }
  const { hiddenSize, numHiddenLayers, numAttentionHeads, maxPositionEmbeddings } = language.config;
  const isOpt = language.architecture === 'opt';
  return {
    kind: 'decoder-only',
    hiddenSize,
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: isOpt ? numAttentionHeads : language.config.numKeyValueHeads,
    headDim: isOpt ? hiddenSize / numAttentionHeads : language.config.headDim,
    vocabSize,
    maxPositionEmbeddings,
    decoderStartTokenId: undefined,
  };
}

/** A Q-Former that writes by itself: its cache begins with the queries, and its positions count the text behind them. */
export function declareQFormer(
  { hiddenSize, numHiddenLayers, numAttentionHeads }: QFormerConfig,
  { wordEmbeddings, positionEmbeddings }: TextEmbeddingWeights,
  numQueryTokens: number,
): Omit<LanguageDeclaration, 'eosTokenIds'> {
  return {
    kind: 'decoder-only',
    hiddenSize,
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: numAttentionHeads,
    headDim: hiddenSize / numAttentionHeads,
    vocabSize: wordEmbeddings.shape[0] ?? 0,
    maxPositionEmbeddings: numQueryTokens + (positionEmbeddings.shape[0] ?? 0),
    decoderStartTokenId: undefined,
  };
}
