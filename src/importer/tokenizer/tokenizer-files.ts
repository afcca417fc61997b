/**
 * The tokenizers of a pack: as published where there is a tokenizer.json, else converted from the older files. The language model's lies in
 * the pack's folder, that of the Q-Former's text in `qformer_tokenizer/`.
 */
import { access, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import type { Family } from '../../pack/model-declaration.ts';
import { BRIDGE_ARCHITECTURES } from '../architectures/bridges.ts';
import { FAMILY_TRAITS } from '../families/families.ts';
import type { CheckpointSource } from '../read/checkpoint-source.ts';
import { languageSource, type LanguageSource, type RoledSource } from '../sources/source-role.ts';
import type { AddedToken } from './converted-tokenizer.ts';
import { convertTokenizerFolder } from './tokenizer-folder.ts';

const FILES = ['tokenizer.json', 'tokenizer_config.json'] as const;

/** The folder inside a pack, and inside the published InstructBLIP repositories. */
const QFORMER_FOLDER = 'qformer_tokenizer';

/** A pack's files relative to its folder, and the files they were made of. */
export type WrittenTokenizers = { files: string[]; sources: string[] };

/**
 * Writes the tokenizers that a family needs.
 *
 * @throws CheckpointError when no source has one.
 */
export async function writeTokenizers(
  sources: readonly RoledSource[],
  family: Family,
  directory: string,
): Promise<WrittenTokenizers> {
  const { language, bridge } = FAMILY_TRAITS[family];
  const written: WrittenTokenizers = { files: [], sources: [] };
  if (language !== undefined) {
    const roled = languageSource(sources);
    if (roled === undefined)
      throw missing(sources, "the language model's tokenizer (tokenizer.json or tokenizer.model)");
    await writeTokenizer(roled.source.path, directory, '', conversionFor(family, roled), written);
  }
  if (BRIDGE_ARCHITECTURES[bridge].readsText) {
    const folder = await qformerTokenizerFolder(sources, language !== undefined);
    if (folder === undefined) throw missing(sources, "the Q-Former's tokenizer (bert-base-uncased with vocab.txt)");
    await mkdir(join(directory, QFORMER_FOLDER));
    await writeTokenizer(
      folder,
      directory,
      QFORMER_FOLDER,
      { addedTokens: [{ content: '[DEC]', special: true }] },
      written,
    );
  }
  return written;
}

async function qformerTokenizerFolder(
  sources: readonly RoledSource[],
  hasLanguageModel: boolean,
): Promise<string | undefined> {
  for (const { source, role } of sources.toReversed()) {
    if (role.kind === 'tokenizer') return source.path;
    if (role.kind !== 'whole-model') continue;
    if (await hasTokenizer(source, QFORMER_FOLDER)) return join(source.path, QFORMER_FOLDER);
    // Without a language model there is no other text than the Q-Former's.
    if (!hasLanguageModel) return source.path;
  }
  return undefined;
}

async function hasTokenizer(source: CheckpointSource, folder: string): Promise<boolean> {
  return (await source.has(join(folder, 'tokenizer.json'))) || source.has(join(folder, 'vocab.txt'));
}

type Conversion = {
  startToken?: string | null;
  addedTokens?: readonly AddedToken[];
  /** Whether a SentencePiece model is converted although there is a tokenizer.json. */
  prefersModel?: boolean;
};

function conversionFor(family: Family, { role }: LanguageSource): Conversion {
  const { startToken, prefersSentencePiece } = FAMILY_TRAITS[family];
  if (startToken !== undefined && role.kind === 'language-model') return { startToken };
  return { prefersModel: prefersSentencePiece === true };
}

async function writeTokenizer(
  folder: string,
  directory: string,
  subfolder: string,
  conversion: Conversion,
  written: WrittenTokenizers,
): Promise<void> {
  const exists = async (name: string): Promise<boolean> =>
    access(join(folder, name)).then(
      () => true,
      () => false,
    );
  const mustConvert =
    conversion.startToken !== undefined || (conversion.prefersModel === true && (await exists('tokenizer.model')));
  if (!mustConvert && (await exists('tokenizer.json')) && (await exists('tokenizer_config.json'))) {
    for (const name of FILES) {
      await copyFile(join(folder, name), join(directory, subfolder, name));
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

function missing(sources: readonly RoledSource[], what: string): CheckpointError {
  const where = sources.map(({ source }) => source.path).join(', ');
  return new CheckpointError(where, `none of these contains ${what}. Add a source folder that contains it.`);
}
