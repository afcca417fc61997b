/** Every tensor of a checkpoint by its dotted path, optimizer and all: an importer wants only the weights, a test all. */
import { PickleDict, PickleList, PickleTuple, type PickleValue } from '../../../src/importer/read/pickle-value.ts';
import { TorchTensor } from '../../../src/importer/read/torch-tensor.ts';

export function tensorsByPath(root: PickleValue): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  const seen = new Set<PickleValue>();
  const pending: [string, PickleValue][] = [['', root]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [path, value] = next;
    if (value instanceof TorchTensor) {
      tensors.set(path, value);
      continue;
    }
    if (seen.has(value)) continue;
    const prefix = path === '' ? '' : `${path}.`;
    if (value instanceof PickleDict) {
      for (const [key, item] of value.entries) {
        if (typeof key === 'string' || typeof key === 'number') pending.push([`${prefix}${key}`, item]);
      }
    } else if (value instanceof PickleList || value instanceof PickleTuple) {
      for (const [index, item] of value.items.entries()) pending.push([`${prefix}${index}`, item]);
    } else continue;
    seen.add(value);
  }
  return tensors;
}
