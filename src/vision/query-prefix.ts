/**
 * What the queries of a Q-Former that writes by itself leave for its text: their keys and values in every layer (image-grounded text generation,
 * see `language/qformer-decoder.ts`). Computed once per image; they stand where the image tokens of other models stand.
 */
import { join } from 'node:path';
import { PackError } from '../errors.ts';
import type { Pack } from '../pack/model-declaration.ts';
import { required } from '../required.ts';
import type { Compute } from '../runtime/compute.ts';
import { float32Data, Session } from '../runtime/session.ts';
import { joinParts, partPerRow, type ImageEmbeds } from './image-embeds.ts';
import type { ImageEncoder } from './image-encoder.ts';
import { VisionEncoder } from './vision-encoder.ts';

/**
 * L layers, H heads of size Dh, Q query tokens, B images. It stands in for an `ImageEncoder`, and its image tokens are keys and values: per
 * image [L, 2, H, Q, Dh], keys before values. Holds native memory: dispose of it.
 */
export class QueryPrefixEncoder implements Pick<
  ImageEncoder,
  'readsInstruction' | 'embedImages' | 'imageTokens' | 'encode' | 'dispose'
> {
  readonly readsInstruction = false;
  readonly #visionEncoder: VisionEncoder;
  readonly #prefix: Session;
  readonly #names: readonly string[];

  private constructor(visionEncoder: VisionEncoder, prefix: Session, names: readonly string[]) {
    this.#visionEncoder = visionEncoder;
    this.#prefix = prefix;
    this.#names = names;
  }

  /** @throws PackError when a graph is missing or of another kind than it should be. */
  static async load(pack: Pack, compute: Compute): Promise<QueryPrefixEncoder> {
    const { language } = pack.declaration;
    if (language === undefined) {
      throw new PackError(pack.directory, 'model.json describes no language model, so this pack cannot write text.');
    }
    const names = Array.from({ length: language.numHiddenLayers }, (_, n) => [
      `present.${n}.key`,
      `present.${n}.value`,
    ]).flat();
    const visionEncoder = await VisionEncoder.load(pack, compute);
    try {
      const path = join(pack.directory, 'itg_prefix.onnx');
      const shapes = { image_embeds: visionEncoder.shape };
      const prefix = await Session.open(path, { compute, inputs: ['image_embeds'], outputs: names, shapes });
      return new QueryPrefixEncoder(visionEncoder, prefix, names);
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
   * Keys and values of images that are embedded already.
   *
   * @param images the image of each result, an index into `imageEmbeds`
   * @returns [L, 2, H, Q, Dh] per entry of `images`; entries of the same image share it
   */
  async imageTokens(imageEmbeds: ImageEmbeds, images: readonly number[]): Promise<Float32Array[]> {
    const distinct = [...new Set(images)].toSorted((a, b) => a - b);
    if (distinct.length === 0) return [];
    const results = await this.#prefix.run(
      { image_embeds: imageEmbeds.select(distinct) },
      Object.fromEntries(this.#names.map((name) => [name, null])),
    );
    const parts = this.#names.map((name) => partPerRow(float32Data(results, name), distinct.length)); // [H, Q, Dh] each
    const prefixes = distinct.map((_, row) =>
      joinParts(parts.map((rows) => required(rows[row], 'the keys and values of an image'))),
    );
    return images.map((image) => required(prefixes[distinct.indexOf(image)], 'the prefix of an image'));
  }

  /**
   * The whole way.
   *
   * @param pixelValues one [3, S, S] per image
   * @returns [L, 2, H, Q, Dh] per image
   */
  async encode(pixelValues: readonly Float32Array[]): Promise<Float32Array[]> {
    return this.imageTokens(await this.embedImages(pixelValues), [...pixelValues.keys()]);
  }

  async dispose(): Promise<void> {
    await this.#visionEncoder.dispose();
    await this.#prefix.dispose();
  }
}
