/** Where the tokenizers of the tests lie, and what the reference made of the texts beside them (see test/fixtures/tokenizers/README.md). */
import { readdirSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';

export const TOKENIZERS = fileURLToPath(new URL('../fixtures/tokenizers/', import.meta.url));

/** Those with a `tokenizer.json`, packed or not; a folder without one is for the importer. */
export const TOKENIZER_NAMES = readdirSync(TOKENIZERS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && readdirSync(join(TOKENIZERS, entry.name)).some(isTokenizerFile))
  .map(({ name }) => name);

function isTokenizerFile(name: string): boolean {
  return name === 'tokenizer.json' || name === 'tokenizer.json.gz';
}

/** The tokenizer of a folder here; the published files are large and lie there packed. */
export async function tokenizerOf(name: string): Promise<Tokenizer> {
  const folder = join(TOKENIZERS, name);
  if (!readdirSync(folder).includes('tokenizer.json.gz')) return loadTokenizer(folder);
  const unpacked = await mkdtemp(join(tmpdir(), 'minigpt-'));
  try {
    await cp(folder, unpacked, { recursive: true });
    await writeFile(join(unpacked, 'tokenizer.json'), gunzipSync(await readFile(join(folder, 'tokenizer.json.gz'))));
    return await loadTokenizer(unpacked);
  } finally {
    await rm(unpacked, { recursive: true });
  }
}

export type EncodedText = {
  text: string;
  ids: number[];
  ids_no_special: number[];
  decoded: string;
  /** Of the SentencePiece library, which knows no special tokens. */
  sentencepiece_ids?: number[];
  /** Where transformers cleans up spaces that `tokenizers` keeps. */
  transformers5_decoded?: string;
};

type Golden = {
  encode: Readonly<Record<string, EncodedText[]>>;
  decode: Readonly<Record<string, { ids: number[]; decoded: string }[]>>;
};

type Prompts = {
  models: {
    model: string;
    tokenizer: string;
    specialTokens: 'first' | 'all';
    prompts: [string, number[]][][];
    qformer: [string, number[]][];
    answers: [number[], string][];
  }[];
  matching: { model: string; tokenizer: string; texts: [string, number[]][]; answers?: [number[], string][] }[];
};

type EdgeCases = Readonly<Record<string, { text: string; ids: number[]; decoded: string }[]>>;

export function readGolden(): Golden {
  return read('golden.json') as Golden;
}

export function readPrompts(): Prompts {
  return read('prompts.json') as Prompts;
}

export function readEdgeCases(): EdgeCases {
  return read('edge_cases.json') as EdgeCases;
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(join(TOKENIZERS, name), 'utf8'));
}
