/** The good and bad checkpoint files of test/fixtures/pickles, with what is expected of each (see its README). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type ExpectedTensor = { dtype: string; shape: number[]; sha256: string };

export type GoodFile = {
  format: 'zip' | 'legacy' | 'safetensors';
  /** The sub-dict with the weights; empty for the top level. */
  state_dict: string;
  tensors: Record<string, ExpectedTensor>;
};

export type BadFile = {
  error: string;
  alternatives?: string[];
  tensors?: Record<string, ExpectedTensor>;
};

export const PICKLES = fileURLToPath(new URL('../../fixtures/pickles', import.meta.url));

const expected = JSON.parse(readFileSync(join(PICKLES, 'expected.json'), 'utf8')) as {
  marker: string;
  good: Record<string, GoodFile>;
  bad: Record<string, BadFile>;
};

/** A file that the harmless payloads of the unsafe pickles would make. */
export const MARKER = expected.marker;
export const goodFiles = Object.entries(expected.good);
export const badFiles = Object.entries(expected.bad);

/** Error classes that a bad file may end in. `none` is for one that may be read. */
export function acceptable({ error, alternatives = [] }: BadFile): string[] {
  // Without a tensor in it, such a file is read as an empty one.
  return [error, ...alternatives].map((fault) => (fault === 'no-tensors' ? 'none' : fault));
}
