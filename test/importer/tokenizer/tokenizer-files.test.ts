/** Which of a source's files become the tokenizers of a pack, and how. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { roleOf, type RoledSource } from '../../../src/importer/sources/source-role.ts';
import {
  findTokenizers,
  writeTokenizers,
  type WrittenTokenizers,
} from '../../../src/importer/tokenizer/tokenizer-files.ts';
import type { Family } from '../../../src/pack/model-declaration.ts';
import { ObjectReader } from '../../../src/pack/object-reader.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');
const BERT = join(FIXTURES, 'lavis-blip2-qformer/bert-base-uncased');

let folder: string;
let vicuna: string;
let pack: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-tokenizers-'));
  pack = await mkdtemp(join(folder, 'pack-'));
  // A folder with both: the SentencePiece model, and the tokenizer.json of another vocabulary.
  vicuna = join(folder, 'vicuna');
  await cp(join(FIXTURES, 'minigpt-v2/llama-2-chat'), vicuna, { recursive: true });
  await cp(join(FIXTURES, 'tinygpt-v/phi-2/tokenizer.json'), join(vicuna, 'tokenizer.json'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function open(...paths: string[]): Promise<RoledSource[]> {
  return Promise.all(
    paths.map(async (path) => {
      const source = await CheckpointSource.open(path);
      onTestFinished(async () => source.close());
      return { source, role: await roleOf(source) };
    }),
  );
}

async function write(sources: RoledSource[], family: Family): Promise<WrittenTokenizers> {
  return writeTokenizers(await findTokenizers(sources, family), sources, family, pack);
}

/** The token that the written tokenizer puts in front of a text. */
async function startToken(): Promise<string | undefined> {
  const tokenizer = ObjectReader.parse(await readFile(join(pack, 'tokenizer.json'), 'utf8'), 'tokenizer.json');
  if (!tokenizer.has('post_processor')) return undefined;
  return tokenizer.object('post_processor').list('single')[0]?.objectOrEmpty('SpecialToken').string('id');
}

describe("the language model's", () => {
  test('is converted from its SentencePiece model for MiniGPT-4, whatever tokenizer.json says', async () => {
    const written = await write(await open(vicuna), 'minigpt4-vicuna');
    expect(written.sources).toEqual([join(vicuna, 'tokenizer.model')]);
    expect(await startToken()).toBe('<s>');
  });

  test('is taken as it was published for a family that does not say otherwise', async () => {
    const written = await write(await open(vicuna), 'tinygpt-v');
    expect(written.sources).toEqual([join(vicuna, 'tokenizer.json'), join(vicuna, 'tokenizer_config.json')]);
    for (const name of written.files)
      expect(await readFile(join(pack, name), 'utf8')).toBe(await readFile(join(vicuna, name), 'utf8'));
  });

  test("begins with Vicuna's end token for InstructBLIP from parts", async () => {
    await write(await open(vicuna, BERT), 'instructblip-vicuna');
    expect(await startToken()).toBe('</s>');
  });

  test('is named as missing where no source has one', async () => {
    await expect(write(await open(BERT), 'minigpt4-vicuna')).rejects.toThrow(
      "none of these contains the language model's tokenizer",
    );
  });
});

describe("the Q-Former's", () => {
  test('is written for a Q-Former that reads text, with the token that it begins to write with', async () => {
    const written = await write(await open(BERT), 'blip2-itm');
    expect(written.files).toEqual(['qformer_tokenizer/tokenizer.json', 'qformer_tokenizer/tokenizer_config.json']);
    const text = await readFile(join(pack, 'qformer_tokenizer/tokenizer.json'), 'utf8');
    const tokens = ObjectReader.parse(text, 'tokenizer.json').list('added_tokens');
    expect(tokens.map((token) => token.string('content'))).toContain('[DEC]');
  });

  test('is left out where the Q-Former reads none', async () => {
    const { files } = await write(await open(vicuna, BERT), 'minigpt4-vicuna');
    expect(files).toEqual(['tokenizer.json', 'tokenizer_config.json']);
  });

  test('is named as missing where no source has one', async () => {
    await expect(write(await open(vicuna), 'instructblip-vicuna')).rejects.toThrow(
      "none of these contains the Q-Former's tokenizer (bert-base-uncased with vocab.txt)",
    );
  });
});
