/**
 * `x·Wᵀ` in the arithmetic that goes with the way W is stored: the one place where the operators of linear layers are chosen.
 *
 * - floating point, int12: float32.
 * - int8: each row of x is scaled by its own greatest magnitude and rounded to whole numbers, and the sums of products are whole numbers too. Hence a
 *   row's result does not depend on the rows beside it: a batch never changes an answer. (DynamicQuantizeMatMul has one scale for its whole
 *   input, which fits a run of one image or one prompt only.)
 * - int4: ONNX Runtime rounds each block of a row of x to 8 bits by itself. The sums of the blocks are float32; for a single row they are added in another
 *   order than for several, so a single row is given twice.
 *
 * Measured in bench/int8-kernels.mjs. Shapes: K inputs, N outputs, [..] any leading axes.
 */
import type { Weight } from '../read/weight.ts';
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import { INT4_BLOCK } from './int4.ts';
import { storedAsFloat, storedPart, type StoredWeight } from './stored-weight.ts';
import { withTwoRows } from './two-rows.ts';
import type { Value } from './value.ts';

/** Levels of a row of x in an unsigned byte: 127 on either side of 128, or 255 above 0 where no number is negative, after a ReLU. */
const SIGNED_LEVELS = { zero: 128, max: 127 };
const NON_NEGATIVE_LEVELS = { zero: 0, max: 255 };
/** Added to each row's scale, for rows of zeros. Lost in the rounding of any other scale. */
const TINY = 1e-30;
/** MatMulNBits: products in 8 bits. */
const INT8_ACCURACY = 4;

/** x [.., K], weight [N, K] -> [.., N] */
export function matrixProduct(g: GraphBuilder, x: Value, weight: Weight): Value {
  const [outputs, inputs] = weight.shape;
  if (x.shape.at(-1) !== inputs || inputs === undefined || outputs === undefined || weight.shape.length !== 2) {
    throw new RangeError(
      `${weight.name}: a layer of shape [${weight.shape.join(', ')}] cannot read [${x.shape.join(', ')}]`,
    );
  }
  const stored = g.stored(weight, 'matrix');
  switch (stored.storage) {
    case 'int8':
      return int8Product(g, x, stored, outputs, inputs);
    case 'int4':
      return int4Product(g, x, stored, outputs, inputs);
    default: {
      const inFloat = storedAsFloat(g, stored, weight.shape); // [N, K]
      return g.node1('FusedMatMul', [x, inFloat], float(x, outputs), { transB: 1 }, MICROSOFT); // [.., N]
    }
  }
}

function int8Product(g: GraphBuilder, x: Value, stored: StoredWeight, outputs: number, inputs: number): Value {
  const { zero, max } = x.nonNegative === true ? NON_NEGATIVE_LEVELS : SIGNED_LEVELS;
  const perElement = float(x, inputs);
  const perRow = float(x, 1);
  const magnitudes = x.nonNegative === true ? x : g.node1('Abs', [x], perElement); // [.., K]
  const greatest = g.node1('ReduceMax', [magnitudes, g.int64([-1])], perRow, { keepdims: 1 }); // [.., 1]
  const levelSize = g.node1('Mul', [greatest, g.scalar(1 / max)], perRow); // [.., 1]
  const rowScale = g.node1('Add', [levelSize, g.scalar(TINY)], perRow); // [.., 1]
  const scaled = g.node1('Div', [x, rowScale], perElement); // [.., K]
  const rounded = [scaled, g.scalar(1), g.uint8(zero)];
  const levels = g.node1('QuantizeLinear', rounded, { type: 'uint8', shape: x.shape }); // [.., K]
  const factors = [
    levels,
    storedPart(stored, 'columns'),
    g.scalar(1),
    storedPart(stored, 'column_scale'),
    g.uint8(zero),
  ];
  const sums = g.node1('MatMulIntegerToFloat', factors, float(x, outputs), {}, MICROSOFT); // [.., N]
  return g.node1('Mul', [sums, rowScale], float(x, outputs)); // [.., N]
}

function int4Product(g: GraphBuilder, x: Value, stored: StoredWeight, outputs: number, inputs: number): Value {
  const weight = [storedPart(stored, 'blocks'), storedPart(stored, 'block_scale')];
  const attributes = { K: inputs, N: outputs, bits: 4, block_size: INT4_BLOCK, accuracy_level: INT8_ACCURACY };
  return withTwoRows(g, x, (rows) =>
    g.node1('MatMulNBits', [rows, ...weight], float(rows, outputs), attributes, MICROSOFT),
  ); // [.., N]
}

/** A result with the leading axes of x: [.., width]. */
function float(x: Value, width: number): Omit<Value, 'name'> {
  return { type: 'float', shape: [...x.shape.slice(0, -1), width] };
}
