/** Where the tokenizers of the tests lie, and what the reference made of the texts beside them (see test/fixtures/tokenizers/README.md). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const TOKENIZERS = fileURLToPath(new URL('../fixtures/tokenizers/', import.meta.url));

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
