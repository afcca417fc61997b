/** Writes pickles by hand for tests: operations as the letters of the format, values as what Python would write for them. */
import { FileBytes } from '../../../src/importer/read/file-bytes.ts';
import { PickleBudget } from '../../../src/importer/read/pickle-budget.ts';
import { PickleBytes } from '../../../src/importer/read/pickle-bytes.ts';
import { readPickle } from '../../../src/importer/read/pickle-machine.ts';
import type { PickleValue } from '../../../src/importer/read/pickle-value.ts';
import { readTorchFile } from '../../../src/importer/read/torch-file.ts';
import { TorchMeaning } from '../../../src/importer/read/torch-meaning.ts';
import { TorchStorage, type StorageFinder } from '../../../src/importer/read/torch-storage.ts';

/** Operations as letters or bytes, and what they are followed by. */
type Part = string | Uint8Array;

/** A pickle of protocol 2: its operations between PROTO and STOP. A string is one byte per character. */
export function pickle(...parts: readonly Part[]): Uint8Array {
  return operations('\x80\x02', ...parts, '.');
}

export function operations(...parts: readonly Part[]): Uint8Array {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
}

/** The same operations `count` times. */
export function repeated(count: number, ...parts: readonly Part[]): Uint8Array {
  const once = operations(...parts);
  return Buffer.alloc(count * once.length, once);
}

export function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return operations('X', uint32(bytes.length), bytes);
}

/** An integer, as LONG1 of 9 bytes: any that fits into 72 bits. */
export function integer(value: number | bigint): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  bytes.writeInt8(Number(BigInt.asIntN(8, BigInt(value) >> 64n)), 8);
  return operations('\x8a\x09', bytes);
}

export function tuple(...items: readonly Part[]): Uint8Array {
  return operations('(', ...items, 't');
}

export function global(module: string, name: string): Uint8Array {
  return operations(`c${module}\n${name}\n`);
}

/** The call of a name. */
export function call(module: string, name: string, ...args: readonly Part[]): Uint8Array {
  return operations(global(module, name), tuple(...args), 'R');
}

/** A dict with keys of text. */
export function dict(entries: Readonly<Record<string, Part>>): Uint8Array {
  return operations('}(', ...Object.entries(entries).flatMap(([key, value]) => [text(key), value]), 'u');
}

/** The reference to a storage of PyTorch. */
export function storage(key: string, elements: number, type = 'FloatStorage', module = 'torch'): Uint8Array {
  return operations(tuple(text('storage'), global(module, type), text(key), text('cpu'), integer(elements)), 'Q');
}

export type TensorNumbers = {
  offset: number | bigint;
  size: readonly (number | bigint)[];
  stride: readonly (number | bigint)[];
};

/** A tensor over a storage. */
export function tensor(over: Uint8Array, { offset, size, stride }: TensorNumbers): Uint8Array {
  const numbers = [integer(offset), tuple(...size.map(integer)), tuple(...stride.map(integer))];
  return call('torch._utils', '_rebuild_tensor_v2', over, ...numbers, '\x89', '}');
}

/** A legacy file: its five pickles, and storages of 4-byte elements with the count in front of each. */
export function legacyFile(
  root: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>>,
  {
    littleEndian = '\x88',
    version = integer(1001),
    keys = Object.keys(storages),
  }: { littleEndian?: Part; version?: Part; keys?: readonly string[] } = {},
): Uint8Array {
  const magic = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');
  const data = Object.values(storages).map((bytes) => {
    const count = Buffer.alloc(8);
    count.writeBigInt64LE(BigInt(bytes.length / 4));
    return operations(count, bytes);
  });
  const machine = dict({ little_endian: littleEndian });
  return operations(
    pickle(magic),
    pickle(version),
    pickle(machine),
    root,
    pickle('](', ...keys.map(text), 'e'),
    ...data,
  );
}

/** Reads a pickle that lies alone in memory; it may refer to any storage. Path and fault of errors are those of a file. */
export function readPickleBytes(bytes: Uint8Array, findStorage: StorageFinder = anyStorage): PickleValue {
  const budget = new PickleBudget('memory');
  const range = {
    path: 'memory',
    what: 'the pickle',
    begin: 0,
    end: bytes.length,
    endFault: 'bad-pickle' as const,
    read: (position: number, length: number) => bytes.slice(position, position + length),
  };
  return readPickle(new PickleBytes(range), new TorchMeaning('memory', findStorage, budget), budget);
}

function anyStorage(...[key, dtype, elements]: Parameters<StorageFinder>): TorchStorage {
  return new TorchStorage(key, dtype, elements, 0);
}

/** All that a PyTorch file holds. */
export async function readWhole(path: string): Promise<{ root: PickleValue; file: FileBytes }> {
  const file = await FileBytes.open(path);
  try {
    return { root: await readTorchFile(file), file };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
