/** Pixels to image embeddings: the image encoder, run once per image whatever is asked of it afterwards. */
import { join } from 'node:path';
import type { Pack } from '../pack/model-declaration.ts';
import { required } from '../required.ts';
import type { Compute } from '../runtime/compute.ts';
import { float32Data, float32Tensor, Session } from '../runtime/session.ts';
import { ImageEmbeds } from './image-embeds.ts';

/** Holds native memory: dispose of it. */
export class VisionEncoder {
  readonly #session: Session;
  readonly #imageSize: number;

  private constructor(session: Session, imageSize: number) {
    this.#session = session;
    this.#imageSize = imageSize;
  }

  /** @throws PackError when the graph is missing or of another kind than it should be. */
  static async load(pack: Pack, compute: Compute): Promise<VisionEncoder> {
    const { imageSize } = pack.declaration.image;
    const session = await Session.open(join(pack.directory, 'vision_encoder.onnx'), {
      compute,
      inputs: ['pixel_values'],
      outputs: ['image_embeds'],
      shapes: { pixel_values: ['B', 3, imageSize, imageSize] },
    });
    return new VisionEncoder(session, imageSize);
  }

  /** [I, N, Dv], as far as the graph says it: what reads the embeddings must take the same. */
  get shape(): readonly (number | string)[] {
    return this.#session.outputShape('image_embeds');
  }

  /**
   * @param pixelValues one [3, S, S] per image
   * @returns [I, N, Dv]
   */
  async embedImages(pixelValues: readonly Float32Array[]): Promise<ImageEmbeds> {
    const size = this.#imageSize;
    const length = 3 * size * size;
    const batch = new Float32Array(pixelValues.length * length); // [I, 3, S, S]
    pixelValues.forEach((image, index) => batch.set(image, index * length));
    const results = await this.#session.run(
      { pixel_values: float32Tensor(batch, [pixelValues.length, 3, size, size]) },
      { image_embeds: null },
    );
    const [images, tokens, width] = required(results['image_embeds'], 'the result image_embeds').dims;
    return new ImageEmbeds(float32Data(results, 'image_embeds'), [
      required(images, 'the images of image_embeds'),
      required(tokens, 'the tokens of image_embeds'),
      required(width, 'the width of image_embeds'),
    ]);
  }

  async dispose(): Promise<void> {
    await this.#session.dispose();
  }
}
