/**
 * The storages of a PyTorch checkpoint: flat runs of elements, which one or several tensors look at.
 * Sources: torch/storage.py and torch/serialization.py of https://github.com/pytorch/pytorch.
 */
import { dtypeBytes, type Dtype } from '../../tensor/dtype.ts';

/** Element types by the names of the storage classes of module `torch`. The list is complete for what `Dtype` knows. */
const STORAGE_TYPES: ReadonlyMap<string, Dtype> = new Map([
  ['torch.DoubleStorage', 'F64'],
  ['torch.FloatStorage', 'F32'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
  // Bytes without a type; tensors over it say themselves what they hold.
  ['torch.storage.UntypedStorage', 'U8'],
]);

/** Storage classes of PyTorch whose numbers no weight of our models has. */
const FOREIGN_STORAGE_TYPES: ReadonlySet<string> = new Set([
  'torch.ComplexFloatStorage',
  'torch.ComplexDoubleStorage',
  'torch.QInt8Storage',
  'torch.QUInt8Storage',
  'torch.QInt32Storage',
  'torch.QUInt4x2Storage',
  'torch.QUInt2x4Storage',
]);

/** Element types by the names that PyTorch has for them in module `torch`. */
const TORCH_DTYPES: ReadonlyMap<string, Dtype> = new Map([
  ['torch.float64', 'F64'],
  ['torch.double', 'F64'],
  ['torch.float32', 'F32'],
  ['torch.float', 'F32'],
  ['torch.float16', 'F16'],
  ['torch.half', 'F16'],
  ['torch.bfloat16', 'BF16'],
  ['torch.int64', 'I64'],
  ['torch.long', 'I64'],
  ['torch.int32', 'I32'],
  ['torch.int', 'I32'],
  ['torch.int16', 'I16'],
  ['torch.short', 'I16'],
  ['torch.int8', 'I8'],
  ['torch.uint8', 'U8'],
  ['torch.bool', 'BOOL'],
]);

/** Element types of PyTorch that may be named in settings, and that no tensor may have. */
const FOREIGN_DTYPES: ReadonlySet<string> = new Set(
  [
    ['complex32', 'complex64', 'complex128', 'chalf', 'cfloat', 'cdouble'],
    ['float8_e4m3fn', 'float8_e4m3fnuz', 'float8_e5m2', 'float8_e5m2fnuz', 'float8_e8m0fnu', 'float4_e2m1fn_x2'],
    ['uint16', 'uint32', 'uint64', 'qint8', 'quint8', 'qint32', 'quint4x2', 'quint2x4'],
  ]
    .flat()
    .map((name) => `torch.${name}`),
);

/** The element type of a storage class, or undefined where it has none that we read. */
export function storageDtype(path: string): Dtype | undefined {
  return STORAGE_TYPES.get(path);
}

/** The element type that a name of PyTorch says, or undefined where it is none that we read. */
export function torchDtype(path: string): Dtype | undefined {
  return TORCH_DTYPES.get(path);
}

/** Whether `path` is a storage class of PyTorch, readable or not. */
export function isStorageType(path: string): boolean {
  return STORAGE_TYPES.has(path) || FOREIGN_STORAGE_TYPES.has(path);
}

/** Whether `path` is an element type of PyTorch, readable or not. */
export function isTorchDtype(path: string): boolean {
  return TORCH_DTYPES.has(path) || FOREIGN_DTYPES.has(path);
}

/** A run of elements in the file. */
export class TorchStorage {
  readonly key: string;
  readonly dtype: Dtype;
  readonly elements: number;
  /** Position of the first byte in the file. A legacy file tells it only after the pickle that speaks of the storage. */
  position: number | undefined;

  constructor(key: string, dtype: Dtype, elements: number, position?: number) {
    this.key = key;
    this.dtype = dtype;
    this.elements = elements;
    this.position = position;
  }

  get byteLength(): number {
    return this.elements * dtypeBytes(this.dtype);
  }
}

/** Finds the storage of a key, or throws a CheckpointError. */
export type StorageFinder = (key: string, dtype: Dtype, elements: number) => TorchStorage;
