/**
 * Pixels to image tokens: the image encoder, the Q-Former and the projection, once per image.
 *
 * B images, S image side, N image embeddings of width Dv, Q query tokens, d hidden size of the language model.
 */
import { join } from 'node:path';
import type { Pack } from '../pack/model-declaration.ts';
import { float32Data, float32Tensor, Session } from '../runtime/session.ts';

/** Every stage of a batch of images; for comparing with a reference. */
export type VisionStages = {
  /** [B, N, Dv] */
  imageEmbeds: Float32Array;
  /** [B, Q, D] */
  queryOutput: Float32Array;
  /** [B, Q, d] */
  imageTokens: Float32Array;
};

export class ImageEncoder {
  readonly #visionEncoder: Session;
  readonly #qformer: Session;
  readonly #imageSize: number;

  private constructor(visionEncoder: Session, qformer: Session, imageSize: number) {
    this.#visionEncoder = visionEncoder;
    this.#qformer = qformer;
    this.#imageSize = imageSize;
  }

  static async load(pack: Pack, threads: number): Promise<ImageEncoder> {
    const visionEncoder = await Session.open(join(pack.directory, 'vision_encoder.onnx'), {
      threads,
      inputs: ['pixel_values'],
      outputs: ['image_embeds'],
    });
    try {
      const qformer = await Session.open(join(pack.directory, 'qformer.onnx'), {
        threads,
        inputs: ['image_embeds'],
        outputs: ['query_output', 'image_tokens'],
      });
      return new ImageEncoder(visionEncoder, qformer, pack.declaration.image.imageSize);
    } catch (error) {
      await visionEncoder.dispose();
      throw error;
    }
  }

  /**
   * @param pixelValues one [3, S, S] per image
   * @returns image tokens, one [Q, d] per image
   */
  async encode(pixelValues: readonly Float32Array[]): Promise<Float32Array[]> {
    const imageEmbeds = await this.#embed(pixelValues); // [B, N, Dv]
    const results = await this.#qformer.run({ image_embeds: imageEmbeds }, { image_tokens: null });
    const imageTokens = float32Data(results, 'image_tokens'); // [B, Q, d]
    const length = imageTokens.length / pixelValues.length;
    return pixelValues.map((_, image) => imageTokens.subarray(image * length, (image + 1) * length));
  }

  /** The same as `encode`, with what lies between. */
  async encodeStages(pixelValues: readonly Float32Array[]): Promise<VisionStages> {
    const imageEmbeds = await this.#embed(pixelValues);
    const results = await this.#qformer.run({ image_embeds: imageEmbeds }, { query_output: null, image_tokens: null });
    return {
      imageEmbeds: float32Data({ imageEmbeds }, 'imageEmbeds'),
      queryOutput: float32Data(results, 'query_output'),
      imageTokens: float32Data(results, 'image_tokens'),
    };
  }

  async dispose(): Promise<void> {
    await this.#visionEncoder.dispose();
    await this.#qformer.dispose();
  }

  async #embed(images: readonly Float32Array[]): Promise<ReturnType<typeof float32Tensor>> {
    const size = this.#imageSize;
    const length = 3 * size * size;
    const batch = new Float32Array(images.length * length);
    images.forEach((image, index) => batch.set(image, index * length));
    const pixelValues = float32Tensor(batch, [images.length, 3, size, size]);
    const { image_embeds: imageEmbeds } = await this.#visionEncoder.run(
      { pixel_values: pixelValues },
      { image_embeds: null },
    );
    if (imageEmbeds === undefined) throw new RangeError('vision_encoder.onnx should yield image_embeds');
    return imageEmbeds;
  }
}
