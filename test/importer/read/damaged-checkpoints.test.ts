import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { mutate, SeededRandom } from '../../../bench/checkpoint-mutations.mjs';
import { CheckpointError } from '../../../src/errors.ts';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';
import type { TensorFile } from '../../../src/importer/read/tensor-file.ts';
import { TorchFile } from '../../../src/importer/read/torch-file.ts';
import { PICKLES } from './checkpoint-fixtures.ts';

// bench/fuzz-checkpoints.mjs does the same with a hundred thousand cases.
const CASES = 600;

const directory = mkdtempSync(join(tmpdir(), 'minigpt-damaged-'));
afterAll(() => rmSync(directory, { recursive: true }));

const goodFolder = join(PICKLES, 'good');
const good = readdirSync(goodFolder)
  .toSorted()
  .map((name) => ({ name, bytes: readFileSync(join(goodFolder, name)) }));

/** Reads all tensors. @returns how it ended: `read`, or the fault. */
async function outcomeOf(path: string): Promise<string> {
  let file: TensorFile | undefined;
  try {
    file = path.endsWith('.safetensors') ? await SafetensorsFile.open(path) : await TorchFile.open(path);
    for (const tensor of file.tensors.values()) {
      const length = Math.min(tensor.byteLength, 2 ** 16);
      expect(await file.read(tensor, tensor.byteLength - length, length)).toHaveLength(length);
    }
    return 'read';
  } catch (error) {
    if (error instanceof CheckpointError && error.fault !== undefined) return error.fault;
    throw error;
  } finally {
    await file?.close();
  }
}

test('whatever is damaged in a file, it is read or refused with the kind of fault', async () => {
  const outcomes = new Set<string>();
  for (let number = 0; number < CASES; number++) {
    const random = new SeededRandom(number);
    const { name, bytes } = random.pick(good);
    const path = join(directory, name.endsWith('.safetensors') ? 'x.safetensors' : 'x.pth');
    await writeFile(path, mutate(bytes, random.pick(good).bytes, random));
    outcomes.add(await outcomeOf(path));
  }
  // The damage reaches every part of the readers, or it would show nothing.
  for (const outcome of ['read', 'truncated', 'bad-pickle', 'unsafe-pickle', 'out-of-range', 'safetensors-header']) {
    expect(outcomes).toContain(outcome);
  }
});
