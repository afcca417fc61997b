/** Which ids end an answer, by what the folder of a language model says. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { roleOf } from '../../../src/importer/sources/source-role.ts';
import { readEosTokenIds } from '../../../src/importer/tokenizer/token-ids.ts';
import type { Family } from '../../../src/pack/model-declaration.ts';
import { writeSafetensors } from '../write-safetensors.ts';

const VOCABULARY = 32;

let folder: string;
let pack: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-ends-'));
  pack = join(folder, 'pack');
  await mkdir(join(pack, 'qformer_tokenizer'), { recursive: true });
  await writeVocabulary(pack, { Ċ: 7 });
  await writeVocabulary(join(pack, 'qformer_tokenizer'), { '[SEP]': 3 });
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function writeVocabulary(directory: string, vocab: Record<string, number>): Promise<void> {
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify({ model: { vocab } }));
}

/** The end ids of a family whose language model lies in a folder with these configs. */
async function idsOf(family: Family, config: object, generation?: object): Promise<number[]> {
  const path = join(folder, 'language-model');
  await mkdir(path);
  await writeFile(join(path, 'config.json'), JSON.stringify(config));
  if (generation !== undefined) await writeFile(join(path, 'generation_config.json'), JSON.stringify(generation));
  await writeSafetensors(join(path, 'model.safetensors'), { x: { shape: [1], values: new Float32Array(1) } });
  const source = await CheckpointSource.open(path);
  try {
    return await readEosTokenIds([{ source, role: await roleOf(source) }], family, VOCABULARY, pack);
  } finally {
    await source.close();
  }
}

describe('an answer ends with', () => {
  test.each<[string, Family, object, object | undefined, number[]]>([
    ['what config.json says', 'minigpt4-llama2', { model_type: 'llama', eos_token_id: 5 }, undefined, [5]],
    ['any of several', 'minigpt4-llama2', { model_type: 'llama', eos_token_id: [5, 6] }, undefined, [5, 6]],
    [
      'what generation_config.json says, which is read for it',
      'tinygpt-v',
      { model_type: 'phi', eos_token_id: 2 },
      { eos_token_id: 9 },
      [9],
    ],
    [
      'what config.json says where generation_config.json was only made from it',
      'tinygpt-v',
      { model_type: 'phi', eos_token_id: 5 },
      { _from_model_config: true, eos_token_id: 9 },
      [5],
    ],
    ["transformers' default for LLaMA", 'minigpt4-llama2', { model_type: 'llama' }, undefined, [2]],
    ["transformers' default for T5", 'blip2-t5', { model_type: 't5' }, undefined, [1]],
    ['a line feed for BLIP-2 with OPT', 'blip2-opt', { model_type: 'opt', eos_token_id: 2 }, undefined, [7]],
    ["BERT's end for a Q-Former that writes by itself", 'blip2-itm', { model_type: 'opt' }, undefined, [3]],
  ])('%s', async (_, family, config, generation, expected) => {
    expect(await idsOf(family, config, generation)).toEqual(expected);
  });

  test('nothing that the vocabulary does not have', async () => {
    await expect(idsOf('minigpt4-llama2', { model_type: 'llama', eos_token_id: 32 })).rejects.toThrow(
      "eos_token_id should be ids below the vocabulary's 32 rows, but is 32.",
    );
  });
});
