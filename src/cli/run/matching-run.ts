/** A run of `match`, from the command line to the exit code. */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { loadMatchingModel } from '../../engine/matching/load.ts';
import type { MatchingModel } from '../../engine/matching/model.ts';
import { MatchingTexts } from '../../engine/matching/texts.ts';
import { systemErrorCode, UsageError } from '../../errors.ts';
import { splitFileList } from '../../images/file-list.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { decodeFile } from '../../pipeline/bounded-decoder.ts';
import { matchImages, type MatchSettings } from '../../pipeline/match.ts';
import { rankImages } from '../../pipeline/rank.ts';
import { listKnownModels } from '../../store/known-models.ts';
import { listPacks, resolvePack } from '../../store/packs.ts';
import { findImages, type InputOptions } from '../options/input.ts';
import type { ModelChoiceOptions } from '../options/model.ts';
import type { OutputOptions } from '../options/output.ts';
import { runStream, type PreparedRun } from './stream.ts';
import { chooseModel, decoderCount } from '../options/settings.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** As typed. */
export type MatchOptions = InputOptions &
  ModelChoiceOptions &
  OutputOptions & { text?: string[]; texts?: string; top?: number };

/** Images embedded together: enough rows for a large image encoder's matrix products, and 11 MB of embeddings. */
const AUTO_BATCH_SIZE = 8;

/**
 * Matches the texts of the options with the images of `paths`.
 *
 * @returns the exit code of a run that ended by itself, was interrupted, or lost its reader.
 * @throws what kept it from starting or going on.
 */
export async function runMatch(paths: readonly string[], options: MatchOptions): Promise<number> {
  const { top } = options;
  return runStream(top === undefined ? 'match' : 'rank', options, async (terminal) => {
    const texts = await readTexts(options);
    const { files, warnings } = await findImages(paths, options, process.stdin);
    for (const warning of warnings) terminal.say(warning);
    const pack = await resolvePack(chooseModel(options, process.env));
    await requireHeads(pack);
    return prepareMatch(files, pack, texts, options, terminal);
  });
}

async function prepareMatch(
  files: PreparedRun<MatchingModel>['files'],
  pack: Pack,
  texts: readonly string[],
  options: MatchOptions,
  terminal: Terminal,
): Promise<PreparedRun<MatchingModel>> {
  const { top, verbose = false, details = false, maxPixels, decodeTimeout: decodeSeconds } = options;
  const { declaration, directory } = pack;
  const tokenIds = await tokenize(pack, texts, terminal);
  const settings: MatchSettings = { texts, details, maxPixels, decodeSeconds, decoders: decoderCount() };
  const threads = options.threads ?? availableParallelism();
  const batchSize = options.batchSize === 'auto' ? Math.min(AUTO_BATCH_SIZE, files.length) : options.batchSize;
  if (verbose) {
    terminal.say(`model ${declaration.id} (${declaration.family}, ${declaration.precision}) in ${directory}`);
    terminal.say(
      `images ${files.length}, texts ${texts.length}, threads ${threads}, batch size ${batchSize}, decoders ${settings.decoders}`,
    );
  }
  return {
    files,
    load: async () => loadMatchingModel(pack, tokenIds, { compute: { threads }, batchSize }),
    outcomes: (model, signal) => {
      const run = { files, image: declaration.image, model, settings, pixels: decodeFile, signal };
      return top === undefined ? matchImages(run) : rankImages(run, top);
    },
    onEnd: ({ embeddedImages }) => {
      if (verbose) terminal.say(`images went through the image encoder ${embeddedImages} times`);
    },
  };
}

/** @throws UsageError when there are none, or their file cannot be read. */
async function readTexts({ text = [], texts: path }: MatchOptions): Promise<string[]> {
  const texts = path === undefined ? text : [...text, ...splitFileList(await readTextFile(path), false)];
  if (texts.length > 0) return texts;
  throw new UsageError('no texts given. Say with --text what the images may show, or give a list with --texts.');
}

async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = systemErrorCode(error) === 'ENOENT' ? 'there is no such file' : String(error);
    throw new UsageError(`--texts ${path}: ${reason}.`, { cause: error });
  }
}

/** Token ids of each text. Tells of those that the model reads only the beginning of. */
async function tokenize(pack: Pack, texts: readonly string[], terminal: Terminal): Promise<(readonly number[])[]> {
  const matchingTexts = await MatchingTexts.load(pack);
  return texts.map((text) => {
    const { ids, isCut } = matchingTexts.tokenize(text);
    if (isCut) terminal.say(`the model reads only the first ${matchingTexts.maxTxtLen} tokens of the text "${text}".`);
    return ids;
  });
}

/** @throws UsageError for a pack that lacks the heads, with the names of models that have them. */
async function requireHeads({ declaration }: Pack): Promise<void> {
  if (hasHeads(declaration)) return;
  const here = (await listPacks()).filter(({ pack }) => pack !== undefined && hasHeads(pack.declaration));
  const [known] = (await listKnownModels()).filter(({ family }) => family === 'blip2-itm');
  const advice =
    here.length > 0
      ? `Choose one that has: --model ${here.map(({ id }) => id).join(', ')}.`
      : `Choose one that has, such as ${known?.id ?? 'BLIP-2 of the family blip2-itm'}: minigpt models pull ${known?.id ?? 'ID'}`;
  throw new UsageError(`the model ${declaration.id} has no heads that match images with texts. ${advice}`);
}

function hasHeads({ matching }: Pack['declaration']): boolean {
  return matching.includes('itc') && matching.includes('itm');
}
