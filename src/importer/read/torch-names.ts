/**
 * The names of Python that a checkpoint may speak of, and what may be done with each. The list is closed for Python itself, PyTorch and
 * NumPy: whatever is not on it is refused as soon as it is named, used or not.
 *
 * Classes of other packages are the training project's own, in settings saved beside the weights. They may be made as placeholders, which
 * runs nothing here, but a call of one is refused: that is how a pickle runs code in programs that read it less carefully.
 */
import { isPythonModule } from './python-modules.ts';
import { isStorageType, isTorchDtype } from './torch-storage.ts';

/**
 * - `call`: calling it has a meaning of its own
 * - `placeholder`: an object of it, called for or created, is kept as a placeholder
 * - `creatable`: an object of it may be created as a placeholder, but not called for
 * - `value`: it may only be named
 */
export type NameUse = 'call' | 'placeholder' | 'creatable' | 'value';

const BUILTIN_MODULES = ['builtins', '__builtin__'];
const NUMPY_MODULES = ['numpy.core.multiarray', 'numpy._core.multiarray'];

const CALLS = [
  'collections.OrderedDict',
  'torch.Size',
  'torch._utils._rebuild_tensor',
  'torch._utils._rebuild_tensor_v2',
  'torch._utils._rebuild_tensor_v3',
  'torch._utils._rebuild_parameter',
  'torch._utils._rebuild_parameter_with_state',
  'torch._tensor._rebuild_from_type_v2',
  'torch.nn.parameter.Parameter',
  ...BUILTIN_MODULES.flatMap((module) => ['set', 'dict', 'list', 'tuple'].map((name) => `${module}.${name}`)),
];

const PLACEHOLDERS = [
  'argparse.Namespace',
  'torch.device',
  // Bytes and numbers written as calls: no weight and no setting that we read.
  '_codecs.encode',
  ...BUILTIN_MODULES.flatMap((module) => ['bytearray', 'bytes', 'float', 'int'].map((name) => `${module}.${name}`)),
  ...NUMPY_MODULES.flatMap((module) => [`${module}.scalar`, `${module}._reconstruct`]),
  'numpy.dtype',
  'numpy.ndarray',
  // OmegaConf's containers are made of these.
  'collections.defaultdict',
];

const VALUES = [
  'torch.Tensor',
  // Element types that OmegaConf writes down.
  'typing.Any',
  ...BUILTIN_MODULES.flatMap((module) => ['bool', 'long', 'str', 'unicode'].map((name) => `${module}.${name}`)),
];

const USES: ReadonlyMap<string, NameUse> = new Map<string, NameUse>([
  ...CALLS.map((path): [string, NameUse] => [path, 'call']),
  ...PLACEHOLDERS.map((path): [string, NameUse] => [path, 'placeholder']),
  ...VALUES.map((path): [string, NameUse] => [path, 'value']),
]);

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What may be done with a name, or undefined where a checkpoint has no business with it. */
export function useOfName(module: string, name: string): NameUse | undefined {
  // A dotted name would reach through a module into those that it imports.
  if (!IDENTIFIER.test(name) || !module.split('.').every((part) => IDENTIFIER.test(part))) return undefined;
  const path = `${module}.${name}`;
  const use = USES.get(path);
  if (use !== undefined) return use;
  if (isStorageType(path) || isTorchDtype(path)) return 'value';
  const [root] = module.split('.');
  if (root === 'omegaconf') return 'placeholder';
  if (root === 'torch' || root === 'numpy' || isPythonModule(module)) return undefined;
  return 'creatable';
}
