/**
 * A small assembler for WebAssembly with 128-bit vectors: each function gives the bytes of one instruction behind those of its operands, so a
 * kernel reads like the expression that it computes. Only what `resample-kernel.ts` needs is here.
 *
 * Opcodes and the layout of a module: https://webassembly.github.io/spec/core/binary/
 */

/** Instructions that leave a value behind, or none. */
export type Code = readonly number[];

type ValueType = 'i32' | 'v128';

const TYPE_CODES: Readonly<Record<ValueType, number>> = { i32: 0x7f, v128: 0x7b };
const EMPTY_BLOCK = 0x40;
const VECTOR_PREFIX = 0xfd;

/** A parameter or a variable of a function. */
export class Local {
  readonly #index: number;

  constructor(index: number) {
    this.#index = index;
  }

  get value(): Code {
    return [0x20, ...unsigned(this.#index)];
  }

  set(value: Code): Code {
    return [...value, 0x21, ...unsigned(this.#index)];
  }

  /** Adds to an i32. */
  advance(by: Code): Code {
    return this.set(i32.add(this.value, by));
  }
}

/** A function that takes i32 and returns nothing. Its parameters are asked for before its variables, which are 0 when it begins. */
export class KernelFunction {
  readonly #name: string;
  #parameterCount = 0;
  readonly #variables: ValueType[] = [];
  #body: Code = [];

  constructor(name: string) {
    this.#name = name;
  }

  /** The next parameter. */
  parameter(): Local {
    return new Local(this.#parameterCount++);
  }

  variable(type: ValueType): Local {
    this.#variables.push(type);
    return new Local(this.#parameterCount + this.#variables.length - 1);
  }

  /** Sets what the function does. */
  does(...body: Code[]): this {
    this.#body = body.flat();
    return this;
  }

  get type(): Code {
    return [0x60, ...list(Array.from({ length: this.#parameterCount }, () => [TYPE_CODES.i32])), 0];
  }

  get code(): Code {
    const variables = this.#variables.map((type) => [1, TYPE_CODES[type]]);
    return sized([...list(variables), ...this.#body, 0x0b]);
  }

  exportedAs(index: number): Code {
    return [...text(this.#name), 0, ...unsigned(index)];
  }
}

/** The bytes of a module that exports `memory`, of one page at first, and the functions. */
export function assemble(functions: readonly KernelFunction[]): Uint8Array<ArrayBuffer> {
  const memoryExport = [...text('memory'), 2, 0];
  const exports = [memoryExport, ...functions.map((kernel, index) => kernel.exportedAs(index))];
  // By their numbers: types, functions, memory, exports, code.
  const sections = [
    section(1, list(functions.map(({ type }) => type))),
    section(3, list(functions.map((_, index) => unsigned(index)))),
    section(5, list([[0, 1]])),
    section(7, list(exports)),
    section(10, list(functions.map(({ code }) => code))),
  ];
  return Uint8Array.from([...Buffer.from('\0asm'), 1, 0, 0, 0, ...sections.flat()]);
}

/** Does `body`, and again while `condition` is not 0. */
export function repeat(body: readonly Code[], condition: Code): Code {
  return [0x03, EMPTY_BLOCK, ...body.flat(), ...condition, 0x0d, 0, 0x0b];
}

export const i32 = {
  constant: (value: number): Code => [0x41, ...signed(value)],
  /** The i32 at `address + offset`. */
  load: (address: Code, offset: number): Code => [...address, 0x28, 2, ...unsigned(offset)],
  add: (a: Code, b: Code): Code => [...a, ...b, 0x6a],
  /** Of numbers without sign. */
  below: (a: Code, b: Code): Code => [...a, ...b, 0x49],
  isPositive: (value: Code): Code => [...value, ...i32.constant(0), 0x4a],
};

export const v128 = {
  /** 16 bytes, at any address. */
  load: (address: Code): Code => [...address, ...vector(0), 0, 0],
  /** The 4 bytes at `address + offset`, four times. */
  loadSplat32: (address: Code, offset: number): Code => [...address, ...vector(9), 0, ...unsigned(offset)],
  store: (address: Code, value: Code): Code => [...address, ...value, ...vector(11), 0, 0],
  /** One of the four i32 of a vector. */
  storeLane32: (address: Code, value: Code, lane: number): Code => [...address, ...value, ...vector(90), 0, 0, lane],
  constant: (bytes: readonly number[]): Code => [...vector(12), ...bytes],
  zero: [...vector(12), ...Array.from({ length: 16 }, () => 0)] as Code,
};

export const i8x16 = {
  /** Bytes of both: the first has the numbers 0 to 15. */
  shuffle: (a: Code, b: Code, bytes: readonly number[]): Code => [...a, ...b, ...vector(13), ...bytes],
  /** Bytes of the first by the numbers in the second; 0 where there is no such byte. */
  swizzle: (bytes: Code, numbers: Code): Code => [...bytes, ...numbers, ...vector(14)],
  /** Cuts i16 to 0 … 255. */
  narrow: (low: Code, high: Code): Code => [...low, ...high, ...vector(102)],
};

export const i16x8 = {
  /** Cuts i32 to i16. */
  narrow: (low: Code, high: Code): Code => [...low, ...high, ...vector(133)],
  /** The first eight bytes, which are not negative. */
  extendLow: (bytes: Code): Code => [...bytes, ...vector(137)],
  extendHigh: (bytes: Code): Code => [...bytes, ...vector(138)],
};

export const i32x4 = {
  splat: (value: number): Code => [...i32.constant(value), ...vector(17)],
  shiftLeft: (values: Code, bits: number): Code => [...values, ...i32.constant(bits), ...vector(171)],
  shiftRight: (values: Code, bits: number): Code => [...values, ...i32.constant(bits), ...vector(172)],
  add: (a: Code, b: Code): Code => [...a, ...b, ...vector(174)],
  /** Products of i16, two neighbours added. */
  dot: (a: Code, b: Code): Code => [...a, ...b, ...vector(186)],
};

function vector(opcode: number): Code {
  return [VECTOR_PREFIX, ...unsigned(opcode)];
}

function section(id: number, content: Code): Code {
  return [id, ...sized(content)];
}

function sized(content: Code): Code {
  return [...unsigned(content.length), ...content];
}

function list(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function text(characters: string): Code {
  return sized([...Buffer.from(characters)]);
}

/** LEB128: seven bits a byte, lowest first, all but the last byte marked. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): Code {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
