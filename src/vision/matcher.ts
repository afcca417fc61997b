/**
 * How well texts fit images: the contrastive similarity of separate features (ITC), which is cheap for many texts and images, and the matching
 * head that reads both together (ITM). BLIP-2, https://arxiv.org/abs/2301.12597, section 3.2; LAVIS' `blip2_image_text_matching.py`.
 *
 * I images, T texts, Q query tokens, P size of the contrastive features.
 */
import { join } from 'node:path';
import type { Pack } from '../pack/model-declaration.ts';
import { required } from '../required.ts';
import type { Compute } from '../runtime/compute.ts';
import { float32Data, Session } from '../runtime/session.ts';
import { partPerRow, type ImageEmbeds } from './image-embeds.ts';
import { padTexts, pairBatches } from './image-text-pairs.ts';

/** Texts whose features are computed in one run. */
const TEXTS_PER_RUN = 32;

/** Scores of "the text does not fit" and "it fits", before softmax. */
export type MatchLogits = readonly [noMatch: number, match: number];

/** Both sides of ITC as the graph yields them; for comparing with a reference. */
export type ImageStages = {
  /** [I, Q, D] */
  queryOutput: Float32Array;
  /** [I, Q, P] */
  imageFeatures: Float32Array;
};

/** Holds native memory: dispose of it. */
export class Matcher {
  readonly #itcImage: Session;
  readonly #itcText: Session;
  readonly #itm: Session;

  private constructor(sessions: readonly [itcImage: Session, itcText: Session, itm: Session]) {
    [this.#itcImage, this.#itcText, this.#itm] = sessions;
  }

  /** @throws PackError when a graph is missing or of another kind than it should be. */
  static async load(pack: Pack, compute: Compute): Promise<Matcher> {
    const open = async (name: string, inputs: string[], outputs: string[]): Promise<Session> =>
      Session.open(join(pack.directory, `${name}.onnx`), { compute, inputs, outputs });
    const text = ['input_ids', 'attention_mask'];
    const opened: Session[] = [];
    try {
      const itcImage = await open('itc_image', ['image_embeds'], ['query_output', 'image_features']);
      opened.push(itcImage);
      const itcText = await open('itc_text', text, ['text_features']);
      opened.push(itcText);
      const itm = await open('itm', ['image_embeds', 'image_indices', ...text], ['itm_logits']);
      return new Matcher([itcImage, itcText, itm]);
    } catch (error) {
      for (const session of opened) await session.dispose();
      throw error;
    }
  }

  /** Contrastive features of every image, [Q, P] each, rows of length 1. */
  async imageFeatures(imageEmbeds: ImageEmbeds): Promise<Float32Array[]> {
    const results = await this.#itcImage.run({ image_embeds: imageEmbeds.tensor }, { image_features: null });
    return partPerRow(float32Data(results, 'image_features'), imageEmbeds.count);
  }

  /** The same as `imageFeatures`, with what lies between. */
  async imageStages(imageEmbeds: ImageEmbeds): Promise<ImageStages> {
    const results = await this.#itcImage.run(
      { image_embeds: imageEmbeds.tensor },
      { query_output: null, image_features: null },
    );
    return {
      queryOutput: float32Data(results, 'query_output'),
      imageFeatures: float32Data(results, 'image_features'),
    };
  }

  /**
   * Contrastive features of texts, [P] each, of length 1.
   *
   * @param texts token ids, `[CLS]` and `[SEP]` included
   */
  async textFeatures(texts: readonly (readonly number[])[]): Promise<Float32Array[]> {
    const features: Float32Array[] = [];
    for (let first = 0; first < texts.length; first += TEXTS_PER_RUN) {
      const some = texts.slice(first, first + TEXTS_PER_RUN);
      const { inputIds, attentionMask } = padTexts(some);
      const results = await this.#itcText.run(
        { input_ids: inputIds, attention_mask: attentionMask },
        { text_features: null },
      );
      features.push(...partPerRow(float32Data(results, 'text_features'), some.length));
    }
    return features;
  }

  /**
   * The matching head's scores of pairs.
   *
   * @param images the image of each pair, an index into `imageEmbeds`
   * @param texts the token ids of each pair, `[CLS]` and `[SEP]` included
   */
  async matchLogits(
    imageEmbeds: ImageEmbeds,
    images: readonly number[],
    texts: readonly (readonly number[])[],
  ): Promise<MatchLogits[]> {
    const scores: MatchLogits[] = [];
    for (const batch of pairBatches(imageEmbeds, images, texts)) {
      const results = await this.#itm.run(
        {
          image_embeds: batch.imageEmbeds,
          image_indices: batch.imageIndices,
          input_ids: batch.inputIds,
          attention_mask: batch.attentionMask,
        },
        { itm_logits: null },
      );
      for (const [noMatch, match] of partPerRow(float32Data(results, 'itm_logits'), batch.size))
        scores.push([required(noMatch, 'a score of no match'), required(match, 'a score of a match')]);
    }
    return scores;
  }

  async dispose(): Promise<void> {
    for (const session of [this.#itcImage, this.#itcText, this.#itm]) await session.dispose();
  }
}

/** The cosine of the query that is nearest to the text: features [Q, P] and [P], all of length 1. NaN where a feature is. */
export function similarity(imageFeatures: Float32Array, textFeatures: Float32Array): number {
  const size = textFeatures.length;
  let greatest = -Infinity;
  for (let start = 0; start < imageFeatures.length; start += size) {
    let product = 0;
    for (let i = 0; i < size; i++) product += (imageFeatures[start + i] as number) * (textFeatures[i] as number);
    greatest = Math.max(greatest, product);
  }
  return greatest;
}

/** Probability that the text fits: softmax of the two scores. */
export function matchProbability([noMatch, match]: MatchLogits): number {
  return 1 / (1 + Math.exp(noMatch - match));
}
