/**
 * Reads a pickle without Python: a stack, a memo and a closed list of operations, those that PyTorch's own `weights_only` reader has and a
 * few that protocols 4 and 5 add. Format: https://github.com/python/cpython/blob/main/Lib/pickletools.py
 *
 * A pickle is a program that may name any function of Python and call it. Here a name is only a name, and what "calling" it means is up to a
 * `PickleMeaning`, which knows a fixed list. Values may be nested as deep as the file likes: nothing in here recurses.
 */
import type { PickleBudget } from './pickle-budget.ts';
import type { PickleBytes } from './pickle-bytes.ts';
import { OPERATION } from './pickle-operations.ts';
import {
  isHashable,
  OpaqueObject,
  PickleDict,
  PickleList,
  PickleSet,
  PickleTuple,
  type PickleValue,
} from './pickle-value.ts';

/** What the names, calls and references of a pickle stand for. Each throws a CheckpointError for all that it does not know. */
export type PickleMeaning = {
  /** A class or function. */
  name(module: string, name: string): PickleValue;
  /** The value that calling a name with these arguments would give. */
  call(callee: PickleValue, args: PickleTuple): PickleValue;
  /** A fresh object of a class. */
  create(className: PickleValue, args: PickleTuple): PickleValue;
  /** Gives an object its attributes. */
  setState(object: PickleValue, state: PickleValue): void;
  /** Something beside the pickle: for PyTorch, the storage of a tensor. */
  reference(id: PickleValue): PickleValue;
};

const MIN_PROTOCOL = 2;
const MAX_PROTOCOL = 5;
/** Python allows any length; the longest integer of a checkpoint is the legacy magic number, of 10 bytes. */
const MAX_INTEGER_BYTES = 255;
const MAX_NAME_LETTERS = 500;

/**
 * The value of a pickle. `bytes` stands behind it afterwards.
 *
 * @throws CheckpointError `unsafe-pickle` when it would run something, `bad-pickle` or `truncated` when it is damaged, `too-large` when it
 *   costs too much; and what `meaning` throws.
 */
export function readPickle(bytes: PickleBytes, meaning: PickleMeaning, budget: PickleBudget): PickleValue {
  return new PickleMachine(bytes, meaning, budget).run();
}

class PickleMachine {
  readonly #bytes: PickleBytes;
  readonly #meaning: PickleMeaning;
  readonly #budget: PickleBudget;
  readonly #stack: PickleValue[] = [];
  /** Depths of the stack at which a mark stands. */
  readonly #marks: number[] = [];
  /** A map, for a pickle may count from two billion on. */
  readonly #memo = new Map<number, PickleValue>();
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(bytes: PickleBytes, meaning: PickleMeaning, budget: PickleBudget) {
    this.#bytes = bytes;
    this.#meaning = meaning;
    this.#budget = budget;
  }

  run(): PickleValue {
    for (;;) {
      this.#budget.spendOperations(1);
      this.#budget.checkStack(this.#stack.length + this.#marks.length);
      const operation = this.#bytes.uint8();
      if (operation === OPERATION.STOP) return this.#pop();
      this.#step(operation);
    }
  }

  #step(operation: number): void {
    const bytes = this.#bytes;
    switch (operation) {
      case OPERATION.PROTO:
        return this.#checkProtocol(bytes.uint8());
      case OPERATION.FRAME:
        return bytes.requireLeft(bytes.uint64());
      case OPERATION.MARK:
        this.#marks.push(this.#stack.length);
        return;
      case OPERATION.POP:
        if (this.#stack.length === this.#floor && this.#marks.length > 0) this.#marks.pop();
        else this.#pop();
        return;
      case OPERATION.DUP:
        return this.#push(this.#top());

      case OPERATION.NONE:
        return this.#push(null);
      case OPERATION.NEWTRUE:
        return this.#push(true);
      case OPERATION.NEWFALSE:
        return this.#push(false);
      case OPERATION.BININT:
        return this.#push(bytes.int32());
      case OPERATION.BININT1:
        return this.#push(bytes.uint8());
      case OPERATION.BININT2:
        return this.#push(bytes.uint16());
      case OPERATION.LONG1:
        return this.#push(this.#integer(bytes.uint8()));
      case OPERATION.LONG4:
        return this.#push(this.#integer(bytes.uint32()));
      case OPERATION.BINFLOAT:
        return this.#push(bytes.float64());
      case OPERATION.SHORT_BINSTRING:
      case OPERATION.SHORT_BINUNICODE:
        return this.#push(this.#text(bytes.uint8()));
      case OPERATION.BINUNICODE:
        return this.#push(this.#text(bytes.uint32()));
      case OPERATION.BINUNICODE8:
        return this.#push(this.#text(bytes.uint64()));
      case OPERATION.SHORT_BINBYTES:
        return this.#push(this.#raw(bytes.uint8()));
      case OPERATION.BINBYTES:
        return this.#push(this.#raw(bytes.uint32()));
      case OPERATION.BINBYTES8:
      case OPERATION.BYTEARRAY8:
        return this.#push(this.#raw(bytes.uint64()));

      case OPERATION.EMPTY_TUPLE:
        return this.#pushContainer(new PickleTuple([]));
      case OPERATION.TUPLE1:
        return this.#pushContainer(new PickleTuple(this.#popMany(1)));
      case OPERATION.TUPLE2:
        return this.#pushContainer(new PickleTuple(this.#popMany(2)));
      case OPERATION.TUPLE3:
        return this.#pushContainer(new PickleTuple(this.#popMany(3)));
      case OPERATION.TUPLE:
        return this.#pushContainer(new PickleTuple(this.#popToMark()));
      case OPERATION.EMPTY_LIST:
        return this.#pushContainer(new PickleList());
      case OPERATION.EMPTY_SET:
        return this.#pushContainer(new PickleSet());
      case OPERATION.EMPTY_DICT:
        return this.#pushContainer(new PickleDict());
      case OPERATION.APPEND:
        return this.#appendTo(PickleList, this.#popMany(1));
      case OPERATION.APPENDS:
        return this.#appendTo(PickleList, this.#popToMark());
      case OPERATION.ADDITEMS:
        return this.#appendTo(PickleSet, this.#popToMark());
      case OPERATION.SETITEM:
        return this.#setItems(this.#popMany(2));
      case OPERATION.SETITEMS:
        return this.#setItems(this.#popToMark());

      case OPERATION.BINPUT:
        return this.#remember(bytes.uint8());
      case OPERATION.LONG_BINPUT:
        return this.#remember(bytes.uint32());
      case OPERATION.MEMOIZE:
        return this.#remember(this.#memo.size);
      case OPERATION.BINGET:
        return this.#push(this.#recall(bytes.uint8()));
      case OPERATION.LONG_BINGET:
        return this.#push(this.#recall(bytes.uint32()));

      case OPERATION.GLOBAL: {
        const module = bytes.line(MAX_NAME_LETTERS);
        return this.#push(this.#meaning.name(module, bytes.line(MAX_NAME_LETTERS)));
      }
      case OPERATION.STACK_GLOBAL: {
        const name = this.#pop();
        const module = this.#pop();
        if (typeof module !== 'string' || typeof name !== 'string') throw this.#bad('a name is not text');
        return this.#push(this.#meaning.name(module, name));
      }
      case OPERATION.REDUCE: {
        const args = this.#popTuple();
        return this.#pushContainer(this.#meaning.call(this.#pop(), args));
      }
      case OPERATION.NEWOBJ: {
        const args = this.#popTuple();
        return this.#pushContainer(this.#meaning.create(this.#pop(), args));
      }
      case OPERATION.BUILD: {
        const state = this.#pop();
        return this.#meaning.setState(this.#top(), state);
      }
      case OPERATION.BINPERSID:
        return this.#pushContainer(this.#meaning.reference(this.#pop()));

      case OPERATION.INST:
      case OPERATION.OBJ:
      case OPERATION.EXT1:
      case OPERATION.EXT2:
      case OPERATION.EXT4:
        throw bytes.refusal(
          'unsafe-pickle',
          `operation ${hex(operation)} runs code, and no checkpoint needs it. Nothing was run; do not open this file with other programs`,
        );
      default:
        throw this.#bad(`${hex(operation)} is not an operation that checkpoints use`);
    }
  }

  #checkProtocol(protocol: number): void {
    if (protocol < MIN_PROTOCOL || protocol > MAX_PROTOCOL) {
      throw this.#bad(`protocol ${protocol} is not one of ${MIN_PROTOCOL} to ${MAX_PROTOCOL}`);
    }
  }

  /** The depth from which on the stack belongs to the last mark; without a mark that is the whole stack. */
  get #floor(): number {
    return this.#marks.at(-1) ?? 0;
  }

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  #pushContainer(value: PickleValue): void {
    this.#budget.spendContainer();
    this.#stack.push(value);
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined || this.#stack.length <= this.#floor) throw this.#bad('a value is missing');
    return value;
  }

  #pop(): PickleValue {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length - count < this.#floor) throw this.#bad('a value is missing');
    return this.#stack.splice(this.#stack.length - count);
  }

  #popToMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.#bad('a mark is missing');
    return this.#stack.splice(mark);
  }

  #popTuple(): PickleTuple {
    const args = this.#pop();
    if (!(args instanceof PickleTuple)) throw this.#bad('arguments are not a tuple');
    return args;
  }

  /** Adds to the list or set on top of the stack. What a placeholder is filled with is of no use and not kept. */
  #appendTo(kind: typeof PickleList | typeof PickleSet, items: readonly PickleValue[]): void {
    const target = this.#top();
    if (target instanceof OpaqueObject) return;
    if (!(target instanceof kind)) throw this.#bad('items are added to a value that is not a list or set');
    if (kind === PickleSet) this.#requireHashable(items);
    for (const item of items) target.items.push(item);
  }

  #setItems(keysAndValues: readonly PickleValue[]): void {
    const target = this.#top();
    if (keysAndValues.length % 2 !== 0) throw this.#bad('a key has no value');
    if (target instanceof OpaqueObject) return;
    if (!(target instanceof PickleDict)) throw this.#bad('entries are set in a value that is not a dict');
    this.#requireHashable(keysAndValues.filter((_, index) => index % 2 === 0));
    for (let index = 0; index < keysAndValues.length; index += 2) {
      target.set(keysAndValues[index] as PickleValue, keysAndValues[index + 1] as PickleValue);
    }
  }

  #requireHashable(values: readonly PickleValue[]): void {
    if (!values.every(isHashable)) throw this.#bad('a list, set or dict is the key of a dict or in a set');
  }

  #remember(index: number): void {
    this.#memo.set(index, this.#top());
    this.#budget.checkMemo(this.#memo.size);
  }

  #recall(index: number): PickleValue {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#bad(`value ${index} was not stored before`);
    return value;
  }

  #raw(length: number): Uint8Array {
    this.#bytes.requireLeft(length);
    this.#budget.spendText(length);
    return this.#bytes.bytes(length);
  }

  #text(length: number): string {
    const raw = this.#raw(length);
    try {
      return this.#decoder.decode(raw);
    } catch {
      throw this.#bad('a text is not UTF-8');
    }
  }

  /** A two's complement number, little end first. */
  #integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) throw this.#bad(`an integer has ${length} bytes`);
    const raw = this.#bytes.bytes(length);
    if (length === 0) return 0;
    const value = BigInt.asIntN(8 * length, BigInt(`0x${Buffer.from(raw.toReversed()).toString('hex')}`));
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }

  #bad(reason: string): Error {
    return this.#bytes.refusal('bad-pickle', reason);
  }
}

function hex(operation: number): string {
  return `0x${operation.toString(16).padStart(2, '0')}`;
}
