/**
 * Pixels to image tokens: the image encoder, the Q-Former and the projection.
 *
 * The image encoder runs once per image. The Q-Former of most models also does; where it reads the instruction, it runs once for each image
 * and instruction, on embeddings that are there already.
 *
 * B images, S image side, N image embeddings of width Dv, Q query tokens of width D, d hidden size of the language model.
 */
import { join } from 'node:path';
import type { Pack } from '../pack/model-declaration.ts';
import { required } from '../required.ts';
import type { Compute } from '../runtime/compute.ts';
import { float32Data, Session } from '../runtime/session.ts';
import { joinParts, partPerRow, type ImageEmbeds } from './image-embeds.ts';
import { pairBatches } from './image-text-pairs.ts';
import { VisionEncoder } from './vision-encoder.ts';

/** Every stage of a batch of images; for comparing with a reference. */
export type VisionStages = {
  /** [B, N, Dv] */
  imageEmbeds: Float32Array;
  /** [B, Q, D]; undefined for a model without a Q-Former. */
  queryOutput: Float32Array | undefined;
  /** [B, Q, d] */
  imageTokens: Float32Array;
};

type StageName = 'query_output' | 'image_tokens';

/** Holds native memory: dispose of it. */
export class ImageEncoder {
  /** Whether image tokens belong to an image and an instruction, and not to the image alone. */
  readonly readsInstruction: boolean;
  readonly #visionEncoder: VisionEncoder;
  readonly #qformer: Session;
  readonly #hasQueries: boolean;

  private constructor(
    visionEncoder: VisionEncoder,
    qformer: Session,
    traits: { readsInstruction: boolean; hasQueries: boolean },
  ) {
    this.#visionEncoder = visionEncoder;
    this.#qformer = qformer;
    this.readsInstruction = traits.readsInstruction;
    this.#hasQueries = traits.hasQueries;
  }

  /** @throws PackError when a graph is missing, of another kind than it should be, or its image tokens do not fit the language model. */
  static async load(pack: Pack, compute: Compute): Promise<ImageEncoder> {
    const { bridge, numImageTokens, language } = pack.declaration;
    const readsInstruction = bridge === 'instruction';
    const hasQueries = bridge !== 'patches';
    const textInputs = ['image_indices', 'qformer_input_ids', 'qformer_attention_mask'];
    const visionEncoder = await VisionEncoder.load(pack, compute);
    try {
      const qformer = await Session.open(join(pack.directory, 'qformer.onnx'), {
        compute,
        inputs: ['image_embeds', ...(readsInstruction ? textInputs : [])],
        outputs: [...(hasQueries ? ['query_output'] : []), 'image_tokens'],
        shapes: {
          image_embeds: visionEncoder.shape,
          ...(language !== undefined && { image_tokens: ['B', numImageTokens, language.hiddenSize] }),
        },
      });
      return new ImageEncoder(visionEncoder, qformer, { readsInstruction, hasQueries });
    } catch (error) {
      await visionEncoder.dispose();
      throw error;
    }
  }

  /** @param pixelValues one [3, S, S] per image */
  async embedImages(pixelValues: readonly Float32Array[]): Promise<ImageEmbeds> {
    return this.#visionEncoder.embedImages(pixelValues);
  }

  /**
   * Image tokens of images that are embedded already.
   *
   * @param images the image of each result, an index into `imageEmbeds`
   * @param instructions the token ids of each result's instruction for the Q-Former; undefined exactly for models that read none
   * @returns image tokens, one [Q, d] per entry of `images`; without instructions, entries of the same image share them
   */
  async imageTokens(
    imageEmbeds: ImageEmbeds,
    images: readonly number[],
    instructions?: readonly (readonly number[])[],
  ): Promise<Float32Array[]> {
    this.#requireInstructions(instructions);
    if (images.length === 0) return [];
    if (instructions !== undefined) {
      const [imageTokens] = await this.#queryPairs(imageEmbeds, images, instructions, ['image_tokens']);
      return required(imageTokens, 'the image tokens of images with instructions');
    }
    const distinct = [...new Set(images)].toSorted((a, b) => a - b);
    const [imageTokens] = await this.#queryImages(imageEmbeds, distinct, ['image_tokens']);
    const ofDistinct = required(imageTokens, 'the image tokens of images'); // [Q, d] each
    return images.map((image) => required(ofDistinct[distinct.indexOf(image)], 'the image tokens of an image'));
  }

  /**
   * The whole way, for models whose image tokens belong to the image alone.
   *
   * @param pixelValues one [3, S, S] per image
   * @returns image tokens, one [Q, d] per image
   */
  async encode(pixelValues: readonly Float32Array[]): Promise<Float32Array[]> {
    const imageEmbeds = await this.embedImages(pixelValues); // [B, N, Dv]
    return this.imageTokens(imageEmbeds, [...pixelValues.keys()]); // [Q, d] each
  }

  /** The whole way with what lies between; all images with the same instruction, for models that read one. */
  async encodeStages(pixelValues: readonly Float32Array[], instruction?: readonly number[]): Promise<VisionStages> {
    const imageEmbeds = await this.embedImages(pixelValues); // [B, N, Dv]
    const images = [...pixelValues.keys()];
    const instructions = instruction && images.map(() => instruction);
    this.#requireInstructions(instructions);
    const stages: StageName[] = ['image_tokens', ...(this.#hasQueries ? (['query_output'] as const) : [])];
    const [imageTokens, queryOutput] =
      instructions === undefined
        ? await this.#queryImages(imageEmbeds, images, stages)
        : await this.#queryPairs(imageEmbeds, images, instructions, stages);
    return {
      imageEmbeds: imageEmbeds.data,
      queryOutput: queryOutput && joinParts(queryOutput),
      imageTokens: joinParts(required(imageTokens, 'the image tokens of images')),
    };
  }

  async dispose(): Promise<void> {
    await this.#visionEncoder.dispose();
    await this.#qformer.dispose();
  }

  #requireInstructions(instructions: readonly (readonly number[])[] | undefined): void {
    if ((instructions !== undefined) === this.readsInstruction) return;
    throw new RangeError(
      this.readsInstruction
        ? 'the Q-Former of this model reads an instruction, and was given none'
        : 'the Q-Former of this model reads no instruction, and was given one',
    );
  }

  /** Stages of images in one run: for each stage one part per image. */
  async #queryImages(
    imageEmbeds: ImageEmbeds,
    images: readonly number[],
    stages: readonly StageName[],
  ): Promise<Float32Array[][]> {
    const feeds = { image_embeds: imageEmbeds.select(images) };
    const results = await this.#qformer.run(feeds, Object.fromEntries(stages.map((name) => [name, null])));
    return stages.map((name) => partPerRow(float32Data(results, name), images.length));
  }

  /** Stages of images with instructions, in batches: for each stage one part per pair. */
  async #queryPairs(
    imageEmbeds: ImageEmbeds,
    images: readonly number[],
    instructions: readonly (readonly number[])[],
    stages: readonly StageName[],
  ): Promise<Float32Array[][]> {
    const parts: Float32Array[][] = stages.map(() => []);
    for (const batch of pairBatches(imageEmbeds, images, instructions)) {
      const results = await this.#qformer.run(
        {
          image_embeds: batch.imageEmbeds,
          image_indices: batch.imageIndices,
          qformer_input_ids: batch.inputIds,
          qformer_attention_mask: batch.attentionMask,
        },
        Object.fromEntries(stages.map((name) => [name, null])),
      );
      stages.forEach((name, stage) => parts[stage]?.push(...partPerRow(float32Data(results, name), batch.size)));
    }
    return parts;
  }
}
