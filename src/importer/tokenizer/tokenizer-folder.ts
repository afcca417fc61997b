/**
 * The tokenizer of a published folder that has no tokenizer.json: whichever of the older files it holds, with the special tokens that the
 * files beside it name.
 */
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import { convertByteLevelBpe } from './byte-level-bpe.ts';
import type { AddedToken, ConvertedTokenizer } from './converted-tokenizer.ts';
import { readSmallFile } from '../read/small-file.ts';
import { readFolderSettings } from './folder-settings.ts';
import { convertSentencePiece } from './sentencepiece.ts';
import { convertWordPiece } from './wordpiece.ts';

export type TokenizerFolderOptions = {
  /** The token before every text; null for none. As the folder says where it is left out. */
  startToken?: string | null;
  /** Tokens behind those that the folder names, such as `[DEC]` of LAVIS. */
  addedTokens?: readonly AddedToken[];
};

/** LLaMA's file, and T5's. */
const SENTENCEPIECE_FILES = [
  { name: 'tokenizer.model', habit: true },
  { name: 'spiece.model', habit: false },
] as const;

/**
 * Looks for `tokenizer.model`, `spiece.model`, `vocab.json` with `merges.txt` and `vocab.txt`, in this order, and converts the first.
 *
 * @returns The tokenizer, and the paths of the vocabulary files it was made of.
 * @throws CheckpointError when the folder has none of them, or a file is damaged.
 */
export async function convertTokenizerFolder(
  directory: string,
  { startToken: chosen, addedTokens = [] }: TokenizerFolderOptions = {},
): Promise<ConvertedTokenizer & { sources: string[] }> {
  const { startToken, addStartToken, ...described } = await readFolderSettings(directory);
  const settings = { ...described, addedTokens: [...described.addedTokens, ...addedTokens] };
  /** `habit`: whether tokenizers of the kind begin with the start token where the folder does not say. */
  const start = (habit: boolean): string | null | undefined => {
    if (chosen !== undefined) return chosen;
    return (addStartToken ?? habit) ? startToken : null;
  };

  for (const { name, habit } of SENTENCEPIECE_FILES) {
    const path = join(directory, name);
    const bytes = await readSmallFile(path);
    if (bytes === undefined) continue;
    const first = start(habit);
    const startOption = first === undefined ? {} : { startToken: first };
    return { ...convertSentencePiece(bytes, path, { ...settings, ...startOption }), sources: [path] };
  }

  const vocabPath = join(directory, 'vocab.json');
  const vocab = await readSmallFile(vocabPath);
  if (vocab !== undefined) {
    const mergesPath = join(directory, 'merges.txt');
    const merges = await readSmallFile(mergesPath);
    if (merges === undefined)
      throw new CheckpointError(mergesPath, 'the file is missing; it must be next to vocab.json.');
    const files = { vocab: vocab.toString('utf8'), vocabPath, merges: merges.toString('utf8'), mergesPath };
    const first = start(false);
    if (first === undefined) {
      throw new CheckpointError(directory, 'add_bos_token is true, but no file of the folder names a bos_token.');
    }
    const converted = convertByteLevelBpe(files, { ...settings, startToken: first });
    return { ...converted, sources: [vocabPath, mergesPath] };
  }

  const linesPath = join(directory, 'vocab.txt');
  const lines = await readSmallFile(linesPath);
  if (lines !== undefined) {
    return { ...convertWordPiece(lines.toString('utf8'), linesPath, settings), sources: [linesPath] };
  }
  throw new CheckpointError(
    directory,
    'expected tokenizer.json, tokenizer.model, spiece.model, vocab.json with merges.txt, or vocab.txt; found none of them.',
  );
}
