/**
 * What stands between image encoder and language model: for each bridge that model.json may name, the graphs it becomes and what it needs.
 *
 * P patches, N = P + 1 image embeddings.
 */
import type { Bridge } from '../../pack/bridge.ts';
import type { LanguageDeclaration, MatchingHead } from '../../pack/model-declaration.ts';
import { required } from '../../required.ts';
import { rowsOf } from '../read/weight.ts';
import type { CheckpointWeights } from '../read/weights.ts';
import { buildEmbedTokens } from './embed-tokens.ts';
import { patchCount, type VisionConfig } from './eva-vit.ts';
import type { NewGraph } from './language-architecture.ts';
import {
  buildItgDecoder,
  buildItgPrefix,
  declareQFormer,
  hasLanguageHead,
  takeLanguageHead,
} from './qformer-captioning.ts';
import type { QFormerConfig } from './qformer-config.ts';
import { buildItcImage, buildItcText, buildItm, takeMatchingWeights } from './qformer-matching.ts';
import { buildPatchProjection } from './qformer-projection.ts';
import { buildInstructionQFormer, buildQFormer } from './qformer.ts';

export type BridgeSizes = {
  vision: VisionConfig;
  /** Undefined where there is no Q-Former. */
  qformer: QFormerConfig | undefined;
  numQueryTokens: number;
  /** Undefined without a language model. */
  languageHiddenSize: number | undefined;
};

export type BuiltBridge = {
  /** Positions that an image takes in the language model's input. */
  numImageTokens: number;
  matching: readonly MatchingHead[];
  /** Of a Q-Former that writes by itself. */
  language?: Omit<LanguageDeclaration, 'eosTokenIds'>;
  /** Positions that the Q-Former has for a text to match; undefined where it matches none. */
  textPositions?: number;
};

export type BridgeArchitecture = {
  hasQFormer: boolean;
  /** Whether the Q-Former reads text, for which it has a tokenizer of its own. */
  readsText: boolean;
  build(newGraph: NewGraph, weights: CheckpointWeights, sizes: BridgeSizes): BuiltBridge;
};

export const BRIDGE_ARCHITECTURES: Readonly<Record<Bridge, BridgeArchitecture>> = {
  queries: { hasQFormer: true, readsText: false, build: buildWith(buildQFormer) },
  instruction: { hasQFormer: true, readsText: true, build: buildWith(buildInstructionQFormer) },
  matching: { hasQFormer: true, readsText: true, build: buildMatching },
  patches: { hasQFormer: false, readsText: false, build: buildPatches },
};

function buildWith(build: typeof buildQFormer): BridgeArchitecture['build'] {
  return (newGraph, weights, sizes) => {
    const { qformer, numQueryTokens } = qformerOf(sizes);
    const imageTokenCount = patchCount(sizes.vision) + 1; // N
    build(newGraph('qformer'), weights, qformer, numQueryTokens, imageTokenCount, languageWidth(sizes));
    return { numImageTokens: numQueryTokens, matching: [] };
  };
}

function buildPatches(newGraph: NewGraph, weights: CheckpointWeights, sizes: BridgeSizes): BuiltBridge {
  const { vision } = sizes;
  const imageTokenCount = patchCount(vision) + 1; // N
  const graph = newGraph('qformer');
  return {
    numImageTokens: buildPatchProjection(graph, weights, imageTokenCount, vision.hiddenSize, languageWidth(sizes)),
    matching: [],
  };
}

function buildMatching(newGraph: NewGraph, weights: CheckpointWeights, sizes: BridgeSizes): BuiltBridge {
  const { qformer, numQueryTokens } = qformerOf(sizes);
  const imageTokenCount = patchCount(sizes.vision) + 1; // N
  const matching = takeMatchingWeights(weights, qformer, numQueryTokens);
  buildItcImage(newGraph('itc_image'), matching, qformer, imageTokenCount);
  buildItcText(newGraph('itc_text'), matching, qformer);
  buildItm(newGraph('itm'), matching, qformer, imageTokenCount);
  const built = { numImageTokens: numQueryTokens, textPositions: rowsOf(matching.text.positionEmbeddings) };
  if (!hasLanguageHead(weights)) return { ...built, matching: ['itc', 'itm'] };
  buildItgPrefix(newGraph('itg_prefix'), matching.qformer, qformer, imageTokenCount);
  const head = takeLanguageHead(weights, qformer);
  buildItgDecoder(newGraph('itg_decoder'), matching.qformer, matching.text, head, qformer);
  buildEmbedTokens(newGraph('embed_tokens'), matching.text.wordEmbeddings);
  return {
    ...built,
    matching: ['itc', 'itm', 'itg'],
    language: declareQFormer(qformer, matching.text, numQueryTokens),
  };
}

function qformerOf({ qformer, numQueryTokens }: BridgeSizes): { qformer: QFormerConfig; numQueryTokens: number } {
  return { qformer: required(qformer, 'the sizes of the Q-Former'), numQueryTokens };
}

function languageWidth({ languageHiddenSize }: BridgeSizes): number {
  return required(languageHiddenSize, 'the width of the language model behind the bridge');
}
