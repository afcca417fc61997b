/** Entry of the thread that matches: loads the graphs, computes the features of the texts once, then answers requests about images. */
import { required } from '../../required.ts';
import { serve } from '../../threads/serve.ts';
import { Matcher } from '../../vision/matcher.ts';
import { VisionEncoder } from '../../vision/vision-encoder.ts';
import { MatchingLoop } from './loop.ts';
import type { ForgetImages, MatchingStart, MatchRequest, MatchResult } from './messages.ts';

/**
 * Embeddings that are kept for the second look at the best images: 370 images of ViT-g at 224 pixels, more than the candidates of two texts.
 */
const KEPT_BYTES = 2 ** 29;

serve<MatchingStart, MatchRequest, MatchResult, ForgetImages>(async ({ pack, compute, batchSize, texts }) => {
  const encoder = await VisionEncoder.load(pack, compute);
  const matcher = await Matcher.load(pack, compute).catch(async (error: unknown) => {
    await encoder.dispose();
    throw error;
  });
  const features = await matcher.textFeatures(texts); // [P] each
  const matched = texts.map((ids, text) => ({ ids, features: required(features[text], 'the features of a text') }));
  const loop = new MatchingLoop({ encoder, matcher }, matched, { batchSize, keptBytes: KEPT_BYTES });
  return {
    answer: async (request) => loop.answer(request),
    hear: ({ forget }) => loop.forget(forget),
    close: async () => {
      await loop.close();
      await encoder.dispose();
      await matcher.dispose();
    },
  };
});
