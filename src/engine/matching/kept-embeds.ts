/**
 * Image embeddings that may be asked for again, up to a number of bytes. What finds no room is not kept, and its image has to be embedded
 * once more: the price of a bounded memory.
 */
import { required } from '../../required.ts';
import { ImageEmbeds, joinParts, partPerRow } from '../../vision/image-embeds.ts';

export class KeptEmbeds {
  readonly #maxBytes: number;
  /** [N, Dv] of each image. */
  readonly #parts = new Map<number, Float32Array>();
  #bytes = 0;
  #dims: ImageEmbeds['dims'] = [0, 0, 0];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps a copy of one row of `embeds` under the image's number, where there is room. */
  keep(image: number, embeds: ImageEmbeds, row: number): boolean {
    const part = required(partPerRow(embeds.data, embeds.count)[row], 'the embeddings of an image');
    if (this.#bytes + part.byteLength > this.#maxBytes) return false;
    this.forget([image]);
    this.#parts.set(image, part.slice());
    this.#bytes += part.byteLength;
    this.#dims = embeds.dims;
    return true;
  }

  /**
   * The embeddings of some images, in the given order.
   *
   * @throws RangeError when those of one were not kept: a mistake of the caller.
   */
  select(images: readonly number[]): ImageEmbeds {
    const parts = images.map((image) => {
      const part = this.#parts.get(image);
      if (part === undefined) throw new RangeError(`the embeddings of image ${image} were not kept`);
      return part;
    });
    const [, tokens, width] = this.#dims;
    return new ImageEmbeds(joinParts(parts), [images.length, tokens, width]);
  }

  forget(images: readonly number[]): void {
    for (const image of images) {
      const part = this.#parts.get(image);
      if (part === undefined) continue;
      this.#bytes -= part.byteLength;
      this.#parts.delete(image);
    }
  }
}
