/**
 * What the names, calls and references in a PyTorch pickle mean: tensors become descriptions, containers become data, other
 * objects become placeholders. Every function of Python that is "called" here is one of these few, written in TypeScript.
 *
 * Sources: torch/_utils.py, torch/_tensor.py and torch/_weights_only_unpickler.py of https://github.com/pytorch/pytorch.
 */
import { CheckpointError, type CheckpointFault } from '../../errors.ts';
import type { PickleBudget } from './pickle-budget.ts';
import type { PickleMeaning } from './pickle-machine.ts';
import {
  isHashable,
  OpaqueObject,
  PickleDict,
  PickleList,
  PickleName,
  PickleSet,
  PickleTuple,
  type PickleValue,
} from './pickle-value.ts';
import { quoted } from './quoted.ts';
import { useOfName } from './torch-names.ts';
import {
  isStorageType,
  isTorchDtype,
  storageDtype,
  torchDtype,
  TorchStorage,
  type StorageFinder,
} from './torch-storage.ts';
import { TorchTensor, type ViewNumbers } from './torch-tensor.ts';

/** Functions that make a tensor of a storage. */
const TENSOR_BUILDERS = [
  'torch._utils._rebuild_tensor',
  'torch._utils._rebuild_tensor_v2',
  'torch._utils._rebuild_tensor_v3',
];
const TENSOR_CLASSES = ['torch.Tensor', 'torch.nn.parameter.Parameter'];

export class TorchMeaning implements PickleMeaning {
  readonly #path: string;
  readonly #findStorage: StorageFinder;
  readonly #budget: PickleBudget;

  /**
   * @param path the file, for messages
   * @param findStorage knows the storages of the file by their keys
   */
  constructor(path: string, findStorage: StorageFinder, budget: PickleBudget) {
    this.#path = path;
    this.#findStorage = findStorage;
    this.#budget = budget;
  }

  name(module: string, name: string): PickleName {
    if (useOfName(module, name) === undefined) throw this.#unsafe('names', `${module}.${name}`);
    return new PickleName(module, name);
  }

  call(callee: PickleValue, args: PickleTuple): PickleValue {
    if (!(callee instanceof PickleName)) throw this.#bad('something is called that is not a function');
    const use = useOfName(callee.module, callee.name);
    return use === 'placeholder' ? new OpaqueObject(callee.path, args) : this.#callKnown(callee.path, args.items);
  }

  create(className: PickleValue, args: PickleTuple): PickleValue {
    if (!(className instanceof PickleName)) throw this.#bad('something is instantiated that is not a class');
    const use = useOfName(className.module, className.name);
    if (use === 'placeholder' || use === 'creatable') return new OpaqueObject(className.path, args);
    if (className.path === 'collections.OrderedDict' && args.items.length === 0) return new PickleDict();
    throw this.#unsafe('instantiates', className.path);
  }

  setState(object: PickleValue, state: PickleValue): void {
    // The state of an ordered dict is `_metadata` of PyTorch modules: version numbers.
    if (object instanceof PickleDict && state instanceof PickleDict) return;
    if (object instanceof PickleName) throw this.#unsafe('changes', object.path);
    if (!(object instanceof OpaqueObject)) throw this.#bad('attributes are set on a value that cannot have any');
    object.state = state;
  }

  /** `("storage", type, key, location, numel)`; the legacy format adds the part of the storage that is meant, which is always all of it. */
  reference(id: PickleValue): TorchStorage {
    const [tag, type, key, location, elements, view = null] = id instanceof PickleTuple ? id.items : [];
    if (tag !== 'storage' || !(type instanceof PickleName) || typeof key !== 'string' || typeof location !== 'string') {
      throw this.#bad('a reference does not name a storage');
    }
    if (view !== null)
      throw this.#bad(
        `storage ${quoted(key)} is a part of another storage, which only very old versions of PyTorch wrote`,
      );
    if (!isStorageType(type.path)) throw this.#bad(`storage ${quoted(key)} has the type ${quoted(type.path)}`);
    const dtype = storageDtype(type.path);
    if (dtype === undefined)
      throw this.#refusal(
        'unsupported-dtype',
        `storage ${quoted(key)} is a ${type.path}, a type of numbers that no supported model uses.`,
      );
    if (typeof elements !== 'number' && typeof elements !== 'bigint')
      throw this.#bad(`storage ${quoted(key)} has no size`);
    if (!Number.isSafeInteger(Number(elements)) || elements < 0) {
      throw this.#refusal('storage-size-mismatch', `storage ${quoted(key)} is said to have ${elements} elements.`);
    }
    return this.#findStorage(key, dtype, Number(elements));
  }

  /** @throws CheckpointError for every name that has no case here. */
  #callKnown(path: string, args: readonly PickleValue[]): PickleValue {
    if (TENSOR_BUILDERS.includes(path)) return this.#tensor(path, args);
    switch (path) {
      case 'torch._utils._rebuild_parameter':
      case 'torch._utils._rebuild_parameter_with_state':
      case 'torch.nn.parameter.Parameter':
        if (!(args[0] instanceof TorchTensor)) throw this.#bad('a parameter is made from a value that is not a tensor');
        return args[0];
      case 'torch._tensor._rebuild_from_type_v2':
        return this.#tensorOfType(args);
      case 'collections.OrderedDict':
      case 'builtins.dict':
      case '__builtin__.dict':
        return this.#dict(path, args);
      case 'builtins.list':
      case '__builtin__.list':
        return new PickleList(this.#items(path, args));
      case 'builtins.set':
      case '__builtin__.set': {
        const items = this.#items(path, args);
        if (!items.every(isHashable)) throw this.#bad('a list, set or dict is in a set');
        return new PickleSet(items);
      }
      case 'torch.Size':
      case 'builtins.tuple':
      case '__builtin__.tuple':
        return new PickleTuple(this.#items(path, args));
      default:
        throw this.#unsafe('calls', path);
    }
  }

  /** `(storage, offset, size, stride, …)`; the third version gives the element type after two more arguments. */
  #tensor(path: string, args: readonly PickleValue[]): TorchTensor {
    const [storage, offset, size, stride, , , type] = args;
    if (!(storage instanceof TorchStorage)) throw this.#bad('a tensor has no storage');
    const view = this.#viewNumbers(storage, { offset, size, stride });
    if (path !== 'torch._utils._rebuild_tensor_v3') return TorchTensor.of(this.#path, storage, storage.dtype, view);
    if (!(type instanceof PickleName) || !isTorchDtype(type.path)) throw this.#bad('a tensor has no element type');
    const dtype = torchDtype(type.path);
    if (dtype === undefined)
      throw this.#refusal('unsupported-dtype', `a tensor has the type ${type.path}, which no supported model uses.`);
    return TorchTensor.of(this.#path, storage, dtype, view);
  }

  #viewNumbers(
    { key }: TorchStorage,
    { offset, size, stride }: Record<'offset' | 'size' | 'stride', PickleValue | undefined>,
  ): ViewNumbers {
    const [start, sizes, strides] = [integerOf(offset), integersOf(size), integersOf(stride)];
    if (start === undefined || sizes === undefined || strides === undefined) {
      throw this.#refusal(
        'bad-pickle',
        `a tensor over storage ${quoted(key)} has a shape, strides or an offset that are not integers.`,
      );
    }
    return { offset: start, sizes, strides };
  }

  /** `(function, type, arguments, state)`: how a tensor with attributes is written. The attributes are not needed. */
  #tensorOfType(args: readonly PickleValue[]): PickleValue {
    const [builder, type, builderArgs] = args;
    if (!(builder instanceof PickleName) || !(type instanceof PickleName) || !(builderArgs instanceof PickleTuple)) {
      throw this.#bad('a tensor with attributes is not described as one');
    }
    if (!TENSOR_CLASSES.includes(type.path)) throw this.#unsafe('makes a tensor of', type.path);
    if (!builder.path.startsWith('torch._utils._rebuild_')) throw this.#unsafe('calls', builder.path);
    return this.#callKnown(builder.path, builderArgs.items);
  }

  #dict(path: string, args: readonly PickleValue[]): PickleDict {
    const dict = new PickleDict();
    for (const pair of this.#items(path, args)) {
      const [key, value] = pair instanceof PickleTuple || pair instanceof PickleList ? pair.items : [];
      if (key === undefined || value === undefined || !isHashable(key))
        throw this.#bad(`${path} is made from values that are not pairs`);
      dict.set(key, value);
    }
    return dict;
  }

  /** The items of the one argument, or none without it. Copied, as two lists are two; and counted, as the copy costs memory. */
  #items(path: string, args: readonly PickleValue[]): PickleValue[] {
    const [argument = new PickleTuple([])] = args;
    const isSequence =
      argument instanceof PickleTuple || argument instanceof PickleList || argument instanceof PickleSet;
    if (!isSequence || args.length > 1) throw this.#bad(`${path} is made from a value that is not a list`);
    this.#budget.spendOperations(argument.items.length);
    return [...argument.items];
  }

  #unsafe(verb: string, path: string): CheckpointError {
    return this.#refusal(
      'unsafe-pickle',
      `its pickle ${verb} ${quoted(path)}, which no checkpoint of weights needs. Nothing was run; do not open this file with other programs.`,
    );
  }

  #bad(reason: string): CheckpointError {
    return this.#refusal('bad-pickle', `in its pickle ${reason}. The file is damaged; download it again.`);
  }

  #refusal(fault: CheckpointFault, message: string): CheckpointError {
    return new CheckpointError(this.#path, message, { fault });
  }
}

function integersOf(value: PickleValue | undefined): bigint[] | undefined {
  if (!(value instanceof PickleTuple)) return undefined;
  const integers = value.items.map(integerOf);
  return integers.every((integer) => integer !== undefined) ? integers : undefined;
}

function integerOf(value: PickleValue | undefined): bigint | undefined {
  if (typeof value === 'bigint') return value;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : undefined;
}
