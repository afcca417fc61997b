/**
 * Damages checkpoint files in the ways that find bugs in their readers: bytes flipped, cut out, repeated, taken from another file; lengths and
 * positions replaced by numbers at the edges of what fits; operations of the pickle put in, taken out and exchanged. Everything follows from a seed.
 */
import { storedZip } from './stored-zip.mjs';

/** Numbers near the edges of the types that files and JavaScript have. */
const EDGES = [
  0n,
  1n,
  2n,
  7n,
  8n,
  127n,
  128n,
  255n,
  256n,
  65_535n,
  65_536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
].concat([2n ** 32n, 2n ** 40n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]);

/** All operations of the pickle format, and two bytes that are none. */
const OPERATIONS = Buffer.from(
  '(.0123FIJKLMNPQRSTUVX]abcdeghijlopqrstu}\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98GCB)\xff\x00',
  'latin1',
);

/** Operations with what follows them, as a writer would put them. */
const PHRASES = [
  'cos\nsystem\n',
  'cbuiltins\neval\n',
  'ccollections\nOrderedDict\n)R',
  'cargparse\nNamespace\n)\x81',
  'cmy_project\nThing\n)\x81}b',
  'ctorch._utils\n_rebuild_tensor_v2\n',
  'ctorch._utils\n_rebuild_parameter\n',
  'ctorch._tensor\n_rebuild_from_type_v2\n',
  'ctorch\nFloatStorage\n',
  'ctorch\nComplexFloatStorage\n',
  '__builtin__\nset\n](K\x01e\x85R',
  'X\x07\x00\x00\x00storage',
  '\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f',
  '\x8b\xff\xff\xff\xff',
  'X\xff\xff\xff\xff',
  '\x95\xff\xff\xff\xff\xff\xff\xff\xff',
  'r\xff\xff\xff\x7f',
  'q\x00h\x00',
  'h\x00h\x00\x86',
  '(K\x01K\x02t',
  '}(K\x01K\x02u',
  ']h\x00a',
].map((phrase) => Buffer.from(phrase, 'latin1'));

/** A source of numbers that a seed determines (mulberry32). */
export class SeededRandom {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `limit - 1`. @param {number} limit */
  below(limit) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** @template Item @param {readonly Item[]} items @returns {Item} */
  pick(items) {
    return items[this.below(items.length)];
  }
}

/**
 * A damaged copy of a file.
 *
 * @param {Uint8Array} file
 * @param {Uint8Array} other another file, to take bytes from
 * @param {SeededRandom} random
 * @returns {Buffer}
 */
export function mutate(file, other, random) {
  let bytes = Buffer.from(file);
  const isPickle = bytes[0] === 0x80 || bytes[0] === 0x50;
  for (let times = random.below(3) === 0 ? 2 : 1; times > 0; times--) {
    const kind = random.below(10);
    if (kind === 0) bytes = flipped(bytes, random);
    else if (kind === 1) bytes = cutOut(bytes, random);
    else if (kind === 2) bytes = spliced(bytes, other, random);
    else if (kind < 5) bytes = withEdgeNumber(bytes, random);
    else bytes = isPickle ? withPickleChanged(bytes, random) : withTextNumber(bytes, random);
  }
  return bytes;
}

/** Most of what a reader looks at stands at the two ends of a file. @param {Buffer} bytes @param {SeededRandom} random */
function place(bytes, random) {
  const near = Math.min(bytes.length, 400);
  const where = random.below(4);
  if (where === 0) return random.below(near + 1);
  if (where === 1) return bytes.length - random.below(near + 1);
  return random.below(bytes.length + 1);
}

/** @param {Buffer} bytes @param {SeededRandom} random */
function flipped(bytes, random) {
  for (let count = 1 + random.below(8); count > 0 && bytes.length > 0; count--) {
    bytes[Math.min(place(bytes, random), bytes.length - 1)] = random.below(256);
  }
  return bytes;
}

/** Without a range, or without all behind it. @param {Buffer} bytes @param {SeededRandom} random */
function cutOut(bytes, random) {
  const begin = place(bytes, random);
  const end = random.below(3) === 0 ? bytes.length : begin + random.below(64);
  return Buffer.concat([bytes.subarray(0, begin), bytes.subarray(end)]);
}

/** With a range of itself or of another file put in or over. @param {Buffer} bytes @param {Uint8Array} other @param {SeededRandom} random */
function spliced(bytes, other, random) {
  const source = random.below(2) === 0 ? bytes : Buffer.from(other);
  const from = place(source, random);
  const piece = source.subarray(from, from + random.below(random.below(4) === 0 ? source.length + 1 : 64));
  const to = place(bytes, random);
  const over = random.below(2) === 0 ? piece.length : 0;
  return Buffer.concat([bytes.subarray(0, to), piece, bytes.subarray(to + over)]);
}

/** With a number of 1, 2, 4 or 8 bytes replaced. @param {Buffer} bytes @param {SeededRandom} random */
function withEdgeNumber(bytes, random) {
  const size = random.pick([1, 2, 4, 8]);
  const at = place(bytes, random);
  if (at + size > bytes.length) return bytes;
  // A small change of what is there, or an edge.
  const field = Buffer.alloc(8);
  bytes.copy(field, 0, at, at + size);
  const value = random.below(2) === 0 ? random.pick(EDGES) : field.readBigUInt64LE() + BigInt(random.below(5) - 2);
  field.writeBigUInt64LE(BigInt.asUintN(64, value));
  field.copy(bytes, at, 0, size);
  return bytes;
}

/** With decimal digits replaced, as the header of safetensors has them. @param {Buffer} bytes @param {SeededRandom} random */
function withTextNumber(bytes, random) {
  const text = bytes.subarray(0, 4096).toString('latin1');
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length === 0) return bytes;
  const { index, 0: digits } = random.pick(numbers);
  const value = random.pick([
    String(random.pick(EDGES)),
    `-${digits}`,
    '1e308',
    '0.5',
    'null',
    '[]',
    '""',
    `${digits}0`,
  ]);
  // Spaces keep the length of the header where there is room.
  const written = Buffer.from(random.below(2) === 0 ? value : value.padEnd(digits.length).slice(0, digits.length));
  return Buffer.concat([bytes.subarray(0, index), written, bytes.subarray(index + digits.length)]);
}

/**
 * With the pickle changed and the archive written anew around it, so that the change gets past the reader of the archive.
 *
 * @param {Buffer} bytes
 * @param {SeededRandom} random
 */
function withPickleChanged(bytes, random) {
  const entries = entriesOf(bytes);
  const pickle = entries.find(({ name }) => name.endsWith('data.pkl'));
  // A legacy file begins with its pickles.
  if (pickle === undefined) return bytes[0] === 0x80 ? withOperations(bytes, random) : withEdgeNumber(bytes, random);
  pickle.data = withOperations(Buffer.from(pickle.data), random);
  return storedZip(entries);
}

/** @param {Buffer} pickle @param {SeededRandom} random */
function withOperations(pickle, random) {
  let bytes = pickle;
  for (let count = random.below(3) === 0 ? 2 : 1; count > 0; count--) {
    const kind = random.below(8);
    if (kind < 3) {
      bytes = withInteger(bytes, random);
      continue;
    }
    const at = random.below(Math.min(bytes.length, 4096) + 1);
    const operation = Buffer.of(OPERATIONS[random.below(OPERATIONS.length)]);
    const put = kind < 5 ? random.pick(PHRASES) : kind === 5 ? Buffer.alloc(0) : operation;
    const removed = kind === 5 ? 1 + random.below(12) : random.below(2);
    bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + removed)]);
  }
  return bytes;
}

/** With a small integer (shapes, strides, offsets and sizes mostly are) replaced. @param {Buffer} pickle @param {SeededRandom} random */
function withInteger(pickle, random) {
  const places = [];
  for (let at = 0; at + 1 < Math.min(pickle.length, 4096); at++) if (pickle[at] === 0x4b) places.push(at);
  if (places.length === 0) return pickle;
  const at = random.pick(places);
  const long = Buffer.from([0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  long.writeBigUInt64LE(random.pick(EDGES), 2);
  if (random.below(4) === 0) long.fill(0xff, 10);
  const put = random.below(2) === 0 ? Buffer.of(0x4b, random.below(20)) : long;
  return Buffer.concat([pickle.subarray(0, at), put, pickle.subarray(at + 2)]);
}

/** The entries of an archive that is whole, by its local headers; none of any other file. @param {Buffer} bytes */
function entriesOf(bytes) {
  /** @type {{ name: string, data: Buffer }[]} */
  const entries = [];
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0 || end + 20 > bytes.length) return entries;
  let at = bytes.readUInt32LE(end + 16);
  while (at + 46 <= end && bytes.readUInt32LE(at) === 0x02014b50) {
    const size = bytes.readUInt32LE(at + 24);
    const nameLength = bytes.readUInt16LE(at + 28);
    const header = bytes.readUInt32LE(at + 42);
    const name = bytes.toString('latin1', at + 46, at + 46 + nameLength);
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    if (header + 30 > bytes.length) continue;
    const begin = header + 30 + bytes.readUInt16LE(header + 26) + bytes.readUInt16LE(header + 28);
    entries.push({ name, data: bytes.subarray(begin, Math.min(begin + size, bytes.length)) });
  }
  return entries;
}
