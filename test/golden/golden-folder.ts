/** Reads a folder with golden.json and golden.safetensors for a test. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseGolden, type Golden } from '../../src/engine/golden/record.ts';
import { SafetensorsFile } from '../../src/importer/read/safetensors.ts';
import { toFloat32 } from '../../src/tensor/dtype.ts';

export async function readGoldenFolder(directory: string): Promise<Golden> {
  const path = join(directory, 'golden.json');
  const text = await readFile(path, 'utf8');
  return parseGolden(text, path, async (name) => {
    const file = await SafetensorsFile.open(join(directory, 'golden.safetensors'));
    try {
      const tensor = file.tensors.get(name);
      return tensor && toFloat32(await file.read(tensor), tensor.dtype);
    } finally {
      await file.close();
    }
  });
}
