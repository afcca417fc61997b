/** How large a KV cache is; known without loading a model, so that a batch can be chosen that fits. */

/** `heads` are those of keys and values, of which a model may have fewer than of queries; a row holds at most `maxLength` positions. */
export type KeyValueShape = { rows: number; layers: number; heads: number; maxLength: number; headDim: number };

/** Bytes that one row of such a cache takes when it is full. */
export function bytesPerRow({ layers, heads, maxLength, headDim }: Omit<KeyValueShape, 'rows'>): number {
  return 2 * layers * heads * maxLength * headDim * Float32Array.BYTES_PER_ELEMENT;
}
