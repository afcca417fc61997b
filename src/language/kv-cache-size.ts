/** How large a KV cache is; known without loading a model, so that a batch can be chosen that fits. */

/** `heads` are those of keys and values, of which a model may have fewer than of queries. */
export type KvCacheShape = { rows: number; layers: number; heads: number; maxLength: number; headDim: number };

/** Bytes that one row of such a cache takes. */
export function bytesPerRow({ layers, heads, maxLength, headDim }: Omit<KvCacheShape, 'rows'>): number {
  return 2 * layers * heads * maxLength * headDim * Float32Array.BYTES_PER_ELEMENT;
}
