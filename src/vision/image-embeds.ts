/** The image encoder's result for a batch of images, kept so that each can be asked any number of things. */
import { float32Tensor, type Tensor } from '../runtime/session.ts';

/** I images, N image embeddings of width Dv each. Memory: 1.4 MB per image of 224 pixels. */
export class ImageEmbeds {
  /** [I, N, Dv] */
  readonly data: Float32Array;
  readonly dims: readonly [images: number, tokens: number, width: number];

  /** @throws RangeError when `data` does not have the size that `dims` says. */
  constructor(data: Float32Array, dims: readonly [images: number, tokens: number, width: number]) {
    const [images, tokens, width] = dims;
    if (data.length !== images * tokens * width) {
      throw new RangeError(`image_embeds should hold ${dims.join(' x ')} numbers but holds ${data.length}`);
    }
    this.data = data;
    this.dims = dims;
  }

  /** Number of images. */
  get count(): number {
    return this.dims[0];
  }

  /** The embeddings of some images as a tensor, in the given order. Neighbours are not copied. */
  select(images: readonly number[]): Tensor {
    const [count, tokens, width] = this.dims;
    const length = tokens * width;
    for (const image of images) {
      if (!Number.isInteger(image) || image < 0 || image >= count)
        throw new RangeError(`there is no image ${image} among ${count}`);
    }
    // Of no image, none is the first.
    const [first = 0] = images;
    const dims = [images.length, tokens, width];
    if (images.every((image, index) => image === first + index)) {
      return float32Tensor(this.data.subarray(first * length, (first + images.length) * length), dims);
    }
    const data = new Float32Array(images.length * length);
    images.forEach((image, index) => {
      data.set(this.data.subarray(image * length, (image + 1) * length), index * length);
    });
    return float32Tensor(data, dims);
  }

  /** All images. */
  get tensor(): Tensor {
    return float32Tensor(this.data, this.dims);
  }
}

/** Cuts the result of a batch into one part per row; the parts share its memory. */
export function partPerRow(values: Float32Array, rows: number): Float32Array[] {
  const length = values.length / rows;
  return Array.from({ length: rows }, (_, row) => values.subarray(row * length, (row + 1) * length));
}

/** Parts of equal length one behind the other. */
export function joinParts(parts: readonly Float32Array[]): Float32Array {
  // No parts are no numbers.
  const length = parts[0]?.length ?? 0;
  const joined = new Float32Array(parts.length * length);
  parts.forEach((part, index) => joined.set(part, index * length));
  return joined;
}
