/**
 * Damages images in the ways that find bugs in their decoders: bytes flipped, cut out, repeated, taken from another file of the format; numbers at
 * the edges of what fits, mostly near the beginning, where headers are; numbers and elements of drawings. Everything follows from a seed.
 */

/** @typedef {import('./checkpoint-mutations.mjs').SeededRandom} SeededRandom */

const EDGES = [
  0,
  1,
  2,
  7,
  8,
  127,
  128,
  255,
  256,
  32_767,
  32_768,
  65_535,
  65_536,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];
/** Most of what a header says stands here. */
const HEADER_BYTES = 400;
const NUMBERS = ['0', '-1', '1e9', '1e-9', '99999', '0.5', '100%', '2000', '-1e30', 'NaN', '1e400', '7'];

/** @param {Uint8Array} file @param {Uint8Array} other @param {SeededRandom} random */
export function mutateImage(file, other, random) {
  let bytes = Buffer.from(file);
  for (let left = 1 + random.below(3); left > 0; left--) bytes = mutateOnce(bytes, other, random);
  return bytes;
}

/** @param {Buffer} bytes @param {Uint8Array} other @param {SeededRandom} random @returns {Buffer} */
function mutateOnce(bytes, other, random) {
  const inHeader = random.below(2) === 0;
  const at = random.below(Math.max(inHeader ? Math.min(HEADER_BYTES, bytes.length) : bytes.length, 1));
  const length = 1 + random.below(inHeader ? 16 : 400);
  const way = random.below(12);
  // What keeps the length gets deeper into a decoder, so there is more of it.
  if (way < 4) {
    bytes[at] ^= 1 << random.below(8);
  } else if (way < 6) {
    for (let index = at; index < Math.min(at + length, bytes.length); index++) bytes[index] = random.below(256);
  } else if (way < 8) {
    writeEdge(bytes, at, random);
  } else if (way === 8) {
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
  } else if (way === 9) {
    return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
  } else if (way === 10) {
    return Buffer.concat([bytes.subarray(0, at), other.subarray(at, at + length), bytes.subarray(at + length)]);
  } else {
    const part = random.below(2) === 0 ? other.subarray(random.below(other.length)) : new Uint8Array();
    return Buffer.concat([bytes.subarray(0, at), part]);
  }
  return bytes;
}

/** A number at the edge of a type, in either byte order. @param {Buffer} bytes @param {number} at @param {SeededRandom} random */
function writeEdge(bytes, at, random) {
  const size = random.pick([1, 2, 4]);
  const value = random.pick(EDGES) % 2 ** (8 * size);
  if (at + size > bytes.length) return;
  if (random.below(2) === 0) bytes.writeUIntLE(value, at, size);
  else bytes.writeUIntBE(value, at, size);
}

/** @param {Uint8Array} file @param {Uint8Array} other @param {SeededRandom} random */
export function mutateDrawing(file, other, random) {
  if (random.below(4) === 0) return mutateImage(file, other, random);
  let drawing = Buffer.from(file).toString();
  for (let left = 1 + random.below(5); left > 0; left--)
    drawing = changeDrawing(drawing, Buffer.from(other).toString(), random);
  return Buffer.from(drawing);
}

/** @param {string} drawing @param {string} other @param {SeededRandom} random */
function changeDrawing(drawing, other, random) {
  const numbers = [...drawing.matchAll(/(?<=[="(\s])-?\d+(\.\d+)?/g)];
  const elements = [...drawing.matchAll(/<(?!\/|svg)[^>]*>/g)];
  const ids = [...drawing.matchAll(/(?<=url\(#|href="#|id=")\w+/g)];
  switch (random.below(4)) {
    case 0: {
      const number = random.pick(numbers);
      if (number === undefined) return drawing;
      return drawing.slice(0, number.index) + random.pick(NUMBERS) + drawing.slice(number.index + number[0].length);
    }
    case 1: {
      const element = random.pick(elements);
      if (element === undefined) return drawing;
      return drawing.slice(0, element.index) + element[0].repeat(1 + random.below(40)) + drawing.slice(element.index);
    }
    case 2: {
      const [id, wanted] = [random.pick(ids), random.pick(ids)];
      if (id === undefined || wanted === undefined) return drawing;
      return drawing.slice(0, id.index) + wanted[0] + drawing.slice(id.index + id[0].length);
    }
    default: {
      const inside = /^<svg[^>]*>(.*)<\/svg>$/s.exec(other)?.[1] ?? '';
      return drawing.replace('</svg>', `${inside}</svg>`);
    }
  }
}
