/** Entry of the thread that matches: loads the graphs, computes the features of the texts once, then answers requests about images. */
import { Matcher } from '../../vision/matcher.ts';
import { VisionEncoder } from '../../vision/vision-encoder.ts';
import { MatchingLoop } from './loop.ts';
import type { ForgetImages, Matched, MatchingStart, MatchRequest } from './messages.ts';
import { serve } from '../threads/worker-entry.ts';

/**
 * Embeddings that are kept for the second look at the best images: 370 images of ViT-g at 224 pixels, more than the candidates of two texts.
 */
const KEPT_BYTES = 2 ** 29;

serve<MatchingStart, MatchRequest | ForgetImages, Matched>(async ({ pack, compute, batchSize, texts }, send) => {
  const encoder = await VisionEncoder.load(pack, compute);
  const matcher = await Matcher.load(pack, compute).catch(async (error: unknown) => {
    await encoder.dispose();
    throw error;
  });
  const features = await matcher.textFeatures(texts); // [P] each
  const matched = texts.map((ids, text) => ({ ids, features: features[text] ?? new Float32Array() }));
  const loop = new MatchingLoop({ encoder, matcher }, matched, { batchSize, keptBytes: KEPT_BYTES }, send);
  return {
    add: (message) => loop.add(message),
    close: async () => {
      await loop.close();
      await encoder.dispose();
      await matcher.dispose();
    },
  };
});
