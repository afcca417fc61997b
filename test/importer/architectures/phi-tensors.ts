/** The tensors of the tiny Phi-2, whose file has queries, keys and values of each head together, in the layouts in which Phi-2 was published. */
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { toFloat32 } from '../../../src/tensor/dtype.ts';
import type { TestTensor } from '../write-safetensors.ts';

export const [HEADS, HEAD_DIM] = [4, 16];

export async function readPhiTensors(path: string): Promise<Record<string, TestTensor>> {
  const source = await CheckpointSource.open(path);
  try {
    const tensors: Record<string, TestTensor> = {};
    for (const [name, { tensor, file }] of source.tensors)
      tensors[name] = { shape: [...tensor.shape], values: toFloat32(await file.read(tensor), tensor.dtype) };
    return tensors;
  } finally {
    await source.close();
  }
}

/** Rows of one role (0 query, 1 key, 2 value) of a tensor whose rows are [head, role, feature]. */
export function rowsOfRole(tensor: TestTensor, role: number): TestTensor {
  const width = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
  const rows = HEADS * HEAD_DIM;
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const from = (Math.floor(row / HEAD_DIM) * 3 + role) * HEAD_DIM + (row % HEAD_DIM);
    values.set(tensor.values.subarray(from * width, (from + 1) * width), row * width);
  }
  return { shape: [rows, ...tensor.shape.slice(1)], values };
}

/** With queries, keys and values apart, as in today's repository. */
export function withRolesApart(perHead: Readonly<Record<string, TestTensor>>): Record<string, TestTensor> {
  const apart: Record<string, TestTensor> = {};
  for (const [name, tensor] of Object.entries(perHead)) {
    if (!name.includes('query_key_value')) apart[name] = tensor;
    else
      ['q_proj', 'k_proj', 'v_proj'].forEach((projection, role) => {
        apart[name.replace('query_key_value', projection)] = rowsOfRole(tensor, role);
      });
  }
  return apart;
}
