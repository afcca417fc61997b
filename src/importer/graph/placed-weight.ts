/** The place of a weight among the external data of a pack. It is planned while graphs are built, before anything is read or written. */
import type { Weight } from '../read/weight.ts';
import type { PartRole } from './encoding.ts';
import type { OnnxType } from './value.ts';
import { encodings, type WeightStorage } from './weight-storage.ts';

/** Where one initializer lies. */
export type ExternalTensor = {
  name: string;
  type: OnnxType;
  shape: readonly number[];
  location: string;
  offset: number;
  length: number;
};

/** A weight in its file: one initializer for each part of its encoding, by the part's role and in the order in which they lie there. */
export type PlacedWeight = {
  weight: Weight;
  storage: WeightStorage;
  location: string;
  parts: ReadonlyMap<PartRole, ExternalTensor>;
};

/** Large tensors start on a page so that they can be mapped; small ones need only be aligned. */
const PAGE = 4096;
const ALIGNMENT = 64;
const PAGE_ALIGNED_FROM = 2 ** 20;

/**
 * Plans the parts of a weight one behind the other.
 *
 * @param location the file they lie in
 * @param begin first byte of it that is free
 * @returns the weight in its place, and the first byte behind it
 */
export function placeWeight(
  weight: Weight,
  storage: WeightStorage,
  location: string,
  begin: number,
): { placed: PlacedWeight; end: number } {
  const parts = new Map<PartRole, ExternalTensor>();
  let end = begin;
  for (const { role, type, shape, byteLength } of encodings[storage].parts(weight.shape)) {
    const alignment = byteLength >= PAGE_ALIGNED_FROM ? PAGE : ALIGNMENT;
    const offset = Math.ceil(end / alignment) * alignment;
    const name = role === 'values' ? weight.name : `${weight.name}.${role}`;
    parts.set(role, { name, type, shape, location, offset, length: byteLength });
    end = offset + byteLength;
  }
  return { placed: { weight, storage, location, parts }, end };
}
