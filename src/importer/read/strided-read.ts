/**
 * Reads a range of a strided view in row-major order, whatever its strides: transposed, sliced, expanded, overlapping.
 *
 * The range is cut into boxes (a start, a middle and an end per axis). A box is walked along its largest stride, so that the file is read once
 * from front to back in chunks of bounded size, and each chunk's elements are put where they belong in the result.
 */
import { required } from '../../required.ts';

/** Bytes from a position on, at the start of a buffer of their own. */
export type ReadAt = (position: number, length: number) => Promise<Uint8Array>;

export type StridedView = {
  shape: readonly number[];
  /** In elements, none negative. */
  strides: readonly number[];
  /** Bytes of one element: 1, 2, 4 or 8. */
  width: number;
  /** Position of the first element. */
  position: number;
};

/** What is missing where a view has fewer strides than axes. */
const STRIDE = 'a stride for each axis';

/** One axis of a box: so many steps, and how far each goes in the storage and in the result, in elements. */
type Axis = { size: number; stride: number; outStride: number };

/** A part of the view with its first element in the storage and in the result. */
type Box = { axes: readonly Axis[]; from: number; to: number };

/** Most bytes of the file that are in memory at once, beside the result. */
const CHUNK_BYTES = 8 * 2 ** 20;

/** Gaps of less than this are read with their surroundings; a read of its own would take longer. */
const GAP_BYTES = 64 * 2 ** 10;

/** The same view with as few axes as possible: those of one index dropped, those that follow one another in the storage joined. */
export function simplified(view: StridedView): StridedView {
  const shape: number[] = [];
  const strides: number[] = [];
  for (const [axis, size] of view.shape.entries()) {
    const stride = strideOf(view, axis);
    if (size === 1) continue;
    if (strides.length > 0 && strides.at(-1) === stride * size) {
      shape[shape.length - 1] = required(shape.at(-1), 'the axis before') * size;
      strides[strides.length - 1] = stride;
    } else {
      shape.push(size);
      strides.push(stride);
    }
  }
  return { ...view, shape, strides };
}

function strideOf({ strides }: StridedView, axis: number): number {
  return required(strides[axis], STRIDE);
}

/** Whether the elements lie in the file as they do in the result. For simplified views. */
export function isContiguous({ shape, strides }: StridedView): boolean {
  return shape.includes(0) || shape.length === 0 || (shape.length === 1 && strides[0] === 1);
}

/** Whether a walk in row-major order never goes back far: no axis steps further than the axes before it. For simplified views. */
export function isInFileOrder({ strides }: StridedView): boolean {
  return strides.every((stride, axis) => axis === 0 || stride <= required(strides[axis - 1], STRIDE));
}

/**
 * `count` elements from element `first` on, in row-major order.
 *
 * @param view simplified, with at least `first + count` elements
 */
export async function readStrided(
  readAt: ReadAt,
  view: StridedView,
  first: number,
  count: number,
): Promise<Uint8Array> {
  const result = new Uint8Array(count * view.width);
  const boxes: Box[] = [];
  if (count > 0) cutIntoBoxes(view, 0, first, first + count, { from: 0, to: 0 }, boxes);
  for (const box of boxes) {
    const axes = box.axes.filter(({ size }) => size > 1).toSorted((a, b) => b.stride - a.stride);
    await copyBox(readAt, view, { ...box, axes }, result);
  }
  return result;
}

/**
 * Cuts elements `begin` to `end` of the sub-view of axes `axis`, `axis + 1`, … into boxes.
 *
 * @param at where the sub-view's first element is in the storage, and element `begin` in the result
 */
function cutIntoBoxes(
  view: StridedView,
  axis: number,
  begin: number,
  end: number,
  at: { from: number; to: number },
  boxes: Box[],
): void {
  if (axis === view.shape.length) {
    boxes.push({ axes: [], ...at });
    return;
  }
  const stride = strideOf(view, axis);
  const inner = view.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  let row = Math.floor(begin / inner);
  const lastRow = Math.floor((end - 1) / inner);
  const within = begin - row * inner;
  if (row === lastRow && (within > 0 || end < (row + 1) * inner)) {
    cutIntoBoxes(view, axis + 1, within, end - row * inner, { from: at.from + row * stride, to: at.to }, boxes);
    return;
  }
  let { to } = at;
  if (within > 0) {
    cutIntoBoxes(view, axis + 1, within, inner, { from: at.from + row * stride, to }, boxes);
    to += inner - within;
    row++;
  }
  const wholeRows = Math.floor(end / inner) - row;
  if (wholeRows > 0) {
    const axes = [{ size: wholeRows, stride, outStride: inner }];
    let outStride = inner;
    for (let next = axis + 1; next < view.shape.length; next++) {
      const size = required(view.shape[next], 'the axis');
      outStride /= size;
      axes.push({ size, stride: strideOf(view, next), outStride });
    }
    boxes.push({ axes, from: at.from + row * stride, to });
    to += wholeRows * inner;
    row += wholeRows;
  }
  const rest = end - row * inner;
  if (rest > 0) cutIntoBoxes(view, axis + 1, 0, rest, { from: at.from + row * stride, to }, boxes);
}

/** Copies a box, its axes sorted by their strides, in chunks. */
async function copyBox(readAt: ReadAt, view: StridedView, box: Box, result: Uint8Array): Promise<void> {
  const { width } = view;
  const [outer, ...inner] = box.axes;
  const innerSpan = spanOf(inner);
  const span = outer === undefined ? 1 : (outer.size - 1) * outer.stride + innerSpan;
  const gap = outer === undefined ? 0 : (outer.stride - innerSpan) * width;
  const isDense = gap <= GAP_BYTES || gap <= 8 * innerSpan * width;
  if (outer === undefined || (isDense && span * width <= CHUNK_BYTES)) {
    const chunk = await readAt(view.position + box.from * width, span * width);
    scatter(chunk, result, box, width);
    return;
  }
  const fitting = Math.floor((CHUNK_BYTES / width - innerSpan) / outer.stride) + 1;
  const group = isDense && fitting > 1 ? fitting : 1;
  for (let index = 0; index < outer.size; index += group) {
    const size = Math.min(group, outer.size - index);
    const axes = size === 1 ? inner : [{ ...outer, size }, ...inner];
    const from = box.from + index * outer.stride;
    const to = box.to + index * outer.outStride;
    await copyBox(readAt, view, { axes, from, to }, result);
  }
}

/** Elements of the storage from the first to the last one of a box. */
function spanOf(axes: readonly Axis[]): number {
  return axes.reduce((span, { size, stride }) => span + (size - 1) * stride, 1);
}

/** Puts the elements of a chunk, which begins with the box's first one, into the result. */
function scatter(chunk: Uint8Array, result: Uint8Array, box: Box, width: number): void {
  // Elements of 8 bytes are moved as two of 4: as numbers, some NaNs would change.
  const halves = width === 8 ? 2 : 1;
  const axes = box.axes.map(({ size, stride, outStride }) => ({
    size,
    stride: stride * halves,
    outStride: outStride * halves,
  }));
  if (halves === 2) axes.push({ size: 2, stride: 1, outStride: 1 });
  const unit = width / halves;
  scatterAxis(elements(chunk, unit), elements(result, unit), axes, 0, 0, box.to * halves);
}

type Elements = Uint8Array | Uint16Array | Uint32Array;

function elements(bytes: Uint8Array, width: number): Elements {
  const { buffer, byteOffset, byteLength } = bytes;
  if (width === 1) return bytes;
  return width === 2
    ? new Uint16Array(buffer, byteOffset, byteLength / 2)
    : new Uint32Array(buffer, byteOffset, byteLength / 4);
}

function scatterAxis(
  source: Elements,
  target: Elements,
  axes: readonly Axis[],
  axis: number,
  from: number,
  to: number,
): void {
  // A box without axes is one element.
  const { size, stride, outStride } = axes[axis] ?? { size: 1, stride: 0, outStride: 0 };
  if (axis < axes.length - 1) {
    for (let index = 0; index < size; index++) {
      scatterAxis(source, target, axes, axis + 1, from + index * stride, to + index * outStride);
    }
  } else if (stride === 1 && outStride === 1 && size > 16) {
    target.set(source.subarray(from, from + size), to);
  } else {
    for (let index = 0; index < size; index++) target[to + index * outStride] = source[from + index * stride] as number;
  }
}
