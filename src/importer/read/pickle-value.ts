/**
 * What a pickle may hold, as plain data. Python's containers keep their kinds; names of Python are only names; and an object of a class
 * that the importer does not know is a placeholder. Nothing here can be called.
 */
import type { TorchStorage } from './torch-storage.ts';
import type { TorchTensor } from './torch-tensor.ts';

export type PickleValue =
  | null
  | boolean
  | number
  /** An integer beyond 2^53. */
  | bigint
  | string
  | Uint8Array
  | PickleTuple
  | PickleList
  | PickleSet
  | PickleDict
  | PickleName
  | OpaqueObject
  | TorchStorage
  | TorchTensor;

export class PickleTuple {
  readonly items: readonly PickleValue[];

  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

export class PickleList {
  readonly items: PickleValue[];

  constructor(items: PickleValue[] = []) {
    this.items = items;
  }
}

export class PickleSet {
  readonly items: PickleValue[];

  constructor(items: PickleValue[] = []) {
    this.items = items;
  }
}

const NO_ENTRIES: ReadonlyMap<PickleValue, PickleValue> = new Map();

/** A dict, ordered or not. A map and not an object, as keys like `__proto__` are nothing special in a file. */
export class PickleDict {
  /** Made with the first entry: a hostile pickle makes a million empty dicts from a million bytes. */
  #entries: Map<PickleValue, PickleValue> | undefined;

  get entries(): ReadonlyMap<PickleValue, PickleValue> {
    return this.#entries ?? NO_ENTRIES;
  }

  get(key: PickleValue): PickleValue | undefined {
    return this.#entries?.get(key);
  }

  set(key: PickleValue, value: PickleValue): void {
    this.#entries ??= new Map();
    this.#entries.set(key, value);
  }
}

/** A class or function of Python, by name. */
export class PickleName {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  /** Module and name, joined by a dot. */
  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** Stands for an object of a class that no weight needs: what it would be made of is kept, and never used. */
export class OpaqueObject {
  readonly className: string;
  readonly args: PickleValue;
  state: PickleValue = null;

  constructor(className: string, args: PickleValue) {
    this.className = className;
    this.args = args;
  }
}

/** Whether Python could take the value as the key of a dict. */
export function isHashable(value: PickleValue): boolean {
  return !(value instanceof PickleList || value instanceof PickleSet || value instanceof PickleDict);
}
