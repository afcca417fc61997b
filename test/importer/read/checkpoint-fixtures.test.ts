import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { TensorReader } from '../../../src/importer/read/tensor-reader.ts';
import { acceptable, badFiles, goodFiles, MARKER, PICKLES, type ExpectedTensor } from './checkpoint-fixtures.ts';
import { readWhole } from './pickle-writer.ts';
import { tensorsByPath } from './tensor-paths.ts';

afterAll(() => expect(existsSync(MARKER)).toBe(false));

/** The tensors that an importer would find in a file, or in the folder of an index, with the hashes of their bytes. */
async function readSource(file: string): Promise<Record<string, ExpectedTensor>> {
  const path = join(PICKLES, file);
  const source = await CheckpointSource.open(path.endsWith('.index.json') ? dirname(path) : path);
  try {
    const found: [string, ExpectedTensor][] = [];
    for (const [name, { tensor, file: holder }] of source.tensors) {
      const bytes = await holder.read(tensor);
      expect(bytes).toHaveLength(tensor.byteLength);
      found.push([name, { dtype: tensor.dtype, shape: [...tensor.shape], sha256: sha256(bytes) }]);
    }
    return Object.fromEntries(found);
  } finally {
    await source.close();
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('a good file', () => {
  test.each(goodFiles)('%s gives the tensors of its state dict exactly', async (file, { state_dict: at, tensors }) => {
    const prefix = at === '' ? '' : `${at}.`;
    const wanted = Object.entries(tensors).filter(([path]) => path.startsWith(prefix));
    expect(await readSource(file)).toEqual(
      Object.fromEntries(wanted.map(([path, tensor]) => [path.slice(prefix.length), tensor])),
    );
  });

  const torchFiles = goodFiles.filter(([, { format }]) => format !== 'safetensors');
  test.each(torchFiles)('%s gives all its tensors exactly, those of an optimizer too', async (file, { tensors }) => {
    const { root, file: bytes } = await readWhole(join(PICKLES, file));
    const reader = new TensorReader(bytes);
    const found: [string, ExpectedTensor][] = [];
    for (const [path, tensor] of tensorsByPath(root)) {
      const content = await reader.read(tensor);
      found.push([path, { dtype: tensor.dtype, shape: [...tensor.shape], sha256: sha256(content) }]);
    }
    await bytes.close();
    expect(Object.fromEntries(found)).toEqual(tensors);
  });
});

describe('a bad file', () => {
  const legal = badFiles.filter(([, bad]) => acceptable(bad).includes('none'));
  const refused = badFiles.filter(([, bad]) => !acceptable(bad).includes('none'));

  test.each(refused)('%s is refused with the file, the kind of fault and one clear sentence', async (file, bad) => {
    const error = await readSource(file).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    if (!(error instanceof CheckpointError)) return;
    expect(acceptable(bad)).toContain(error.fault);
    expect(error.path).toContain(dirname(join(PICKLES, file)));
    expect(error.message).toMatch(/^[^\n]{20,500}\.$/);
  });

  test.each(legal)('%s is read, or refused as the list allows', async (file, bad) => {
    try {
      const found = await readSource(file);
      // What the list does not know may be one tensor of the name that is the trap.
      if (bad.tensors !== undefined) expect(found).toEqual(bad.tensors);
      expect(Object.keys(found).length).toBeLessThanOrEqual(1);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      expect(acceptable(bad)).toContain(error.fault);
    }
    expect(Object.prototype).not.toHaveProperty('polluted');
    expect({}).not.toHaveProperty('polluted2');
  });
});
