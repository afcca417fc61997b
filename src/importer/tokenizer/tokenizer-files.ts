/**
 * The tokenizers of a pack: as published where there is a tokenizer.json, else converted from the older files. The language model's lies in
 * the pack's folder, that of the Q-Former's text in `qformer_tokenizer/`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import type { Family } from '../../pack/model-declaration.ts';
import { BRIDGE_ARCHITECTURES } from '../architectures/bridges.ts';
import { FAMILY_TRAITS } from '../families/families.ts';
import { readSmallFile } from '../read/small-file.ts';
import {
  choiceOf,
  findLanguageTokenizer,
  findQFormerTokenizer,
  QFORMER_FOLDER,
  type PartChoice,
} from '../sources/part-sources.ts';
import { languageSource, type RoledSource } from '../sources/source-role.ts';
import type { AddedToken } from './converted-tokenizer.ts';
import { convertTokenizerFolder } from './tokenizer-folder.ts';

const FILES = ['tokenizer.json', 'tokenizer_config.json'] as const;

/** The folders that the tokenizers of a pack are made of, and which other folders had them too. */
export type TokenizerFolders = {
  /** Undefined without a language model. */
  language: string | undefined;
  /** Undefined where the Q-Former reads no text. */
  qformer: string | undefined;
  choices: PartChoice[];
};

/** A pack's files relative to its folder, and the files they were made of. */
export type WrittenTokenizers = { files: string[]; sources: string[] };

/**
 * Finds the tokenizers that a family needs.
 *
 * @throws CheckpointError when no source has one.
 */
export async function findTokenizers(sources: readonly RoledSource[], family: Family): Promise<TokenizerFolders> {
  const { language, bridge } = FAMILY_TRAITS[family];
  const found: TokenizerFolders = { language: undefined, qformer: undefined, choices: [] };
  if (language !== undefined) {
    const last = await findLanguageTokenizer(sources);
    if (last === undefined)
      throw missing(sources, "the language model's tokenizer (tokenizer.json or tokenizer.model)");
    found.language = last.path;
    found.choices.push(...choiceOf('tokenizer', last));
  }
  if (BRIDGE_ARCHITECTURES[bridge].readsText) {
    const last = await findQFormerTokenizer(sources, language !== undefined);
    if (last === undefined) throw missing(sources, "the Q-Former's tokenizer (bert-base-uncased with vocab.txt)");
    found.qformer = last.path;
    found.choices.push(...choiceOf("Q-Former's tokenizer", last));
  }
  return found;
}

/**
 * Writes the tokenizers into a pack.
 *
 * @throws CheckpointError when a file is damaged.
 */
export async function writeTokenizers(
  folders: TokenizerFolders,
  sources: readonly RoledSource[],
  family: Family,
  directory: string,
): Promise<WrittenTokenizers> {
  const written: WrittenTokenizers = { files: [], sources: [] };
  if (folders.language !== undefined) {
    await writeTokenizer(folders.language, directory, '', conversionFor(family, sources), written);
  }
  if (folders.qformer !== undefined) {
    await mkdir(join(directory, QFORMER_FOLDER));
    const conversion = { addedTokens: [{ content: '[DEC]', special: true }] };
    await writeTokenizer(folders.qformer, directory, QFORMER_FOLDER, conversion, written);
  }
  return written;
}

type Conversion = {
  startToken?: string | null;
  addedTokens?: readonly AddedToken[];
  /** Whether a SentencePiece model is converted although there is a tokenizer.json. */
  prefersModel?: boolean;
};

function conversionFor(family: Family, sources: readonly RoledSource[]): Conversion {
  const { startToken, prefersSentencePiece } = FAMILY_TRAITS[family];
  const isOwnFolder = languageSource(sources)?.role.kind === 'language-model';
  if (startToken !== undefined && isOwnFolder) return { startToken };
  return { prefersModel: prefersSentencePiece === true };
}

async function writeTokenizer(
  folder: string,
  directory: string,
  subfolder: string,
  conversion: Conversion,
  written: WrittenTokenizers,
): Promise<void> {
  const published = await readPublished(folder, conversion);
  if (published !== undefined) {
    for (const [name, bytes] of published) {
      await writeFile(join(directory, subfolder, name), bytes);
      written.sources.push(join(folder, name));
    }
  } else {
    const { startToken, addedTokens = [] } = conversion;
    const { tokenizer, tokenizerConfig, sources } = await convertTokenizerFolder(folder, {
      addedTokens,
      ...(startToken === undefined ? {} : { startToken }),
    });
    await writeFile(join(directory, subfolder, 'tokenizer.json'), `${JSON.stringify(tokenizer)}\n`);
    await writeFile(join(directory, subfolder, 'tokenizer_config.json'), `${JSON.stringify(tokenizerConfig)}\n`);
    written.sources.push(...sources);
  }
  written.files.push(...FILES.map((name) => (subfolder === '' ? name : `${subfolder}/${name}`)));
}

/** The files of a tokenizer that is taken as it was published; undefined where one must be converted. */
async function readPublished(
  folder: string,
  { startToken, prefersModel = false }: Conversion,
): Promise<[name: string, bytes: Uint8Array][] | undefined> {
  if (startToken !== undefined) return undefined;
  if (prefersModel && (await readSmallFile(join(folder, 'tokenizer.model'))) !== undefined) return undefined;
  const files: [string, Uint8Array][] = [];
  for (const name of FILES) {
    const bytes = await readSmallFile(join(folder, name));
    if (bytes === undefined) return undefined;
    files.push([name, bytes]);
  }
  return files;
}

function missing(sources: readonly RoledSource[], what: string): CheckpointError {
  const where = sources.map(({ source }) => source.path).join(', ');
  return new CheckpointError(where, `none of these contains ${what}. Add a source folder that contains it.`);
}
