/** A run of `match`, from the command line to the exit code. */
import { readFile } from 'node:fs/promises';
import { planMatching } from '../../engine/load-plan.ts';
import { loadMatchingModel } from '../../engine/matching/load.ts';
import type { MatchingModel } from '../../engine/matching/model.ts';
import { MatchingTexts } from '../../engine/matching/texts.ts';
import { systemErrorCode, UsageError } from '../../errors.ts';
import type { Discovery } from '../../images/discover.ts';
import { splitLines } from '../../images/file-list.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { decodeFile } from '../../pipeline/bounded-decoder.ts';
import { matchImages, type MatchSettings } from '../../pipeline/match.ts';
import { rankImages } from '../../pipeline/rank.ts';
import { everyImage, selectImages } from '../../pipeline/selection.ts';
import type { KnownModel } from '../../store/known-models.ts';
import { listPacks, resolvePack } from '../../store/packs.ts';
import { knownMatchingModel } from '../models/known-matching-model.ts';
import { findImages, type InputOptions } from '../options/input.ts';
import type { ModelChoiceOptions } from '../options/model.ts';
import type { OutputOptions } from '../options/output.ts';
import { reportDiscovery } from './discovery-report.ts';
import { runStream, type PreparedRun } from './stream.ts';
import { chooseModel, decoderCount } from '../options/settings.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** As typed. */
export type MatchOptions = InputOptions &
  ModelChoiceOptions &
  OutputOptions & { text?: string[]; texts?: string; top?: number };

/**
 * Matches the texts of the options with the images of `paths`.
 *
 * @returns the exit code of a run that ended by itself, was interrupted, or whose reader closed the pipe.
 * @throws the error that kept it from starting or continuing.
 */
export async function runMatch(paths: readonly string[], options: MatchOptions): Promise<number> {
  const { top } = options;
  return runStream(top === undefined ? 'match' : 'rank', options, async (terminal, interrupted) => {
    const texts = await readTexts(options);
    const found = await findImages(paths, options, process.stdin, interrupted);
    reportDiscovery(found, options.verbose === true, terminal);
    const discovery = { ...found, files: selectImages(found.files, everyImage) };
    const pack = await resolvePack(chooseModel(options, process.env));
    await requireHeads(pack);
    return prepareMatch(discovery, pack, texts, options, terminal);
  });
}

async function prepareMatch(
  discovery: Discovery,
  pack: Pack,
  texts: readonly string[],
  options: MatchOptions,
  terminal: Terminal,
): Promise<PreparedRun<MatchingModel>> {
  const { top, verbose = false, details = false, maxPixels, decodeTimeout: decodeSeconds } = options;
  const { files } = discovery;
  const { declaration, directory } = pack;
  const tokenIds = await tokenize(pack, texts, terminal);
  const settings: MatchSettings = { texts, details, maxPixels, decodeSeconds, decoders: decoderCount() };
  const plan = planMatching(files.length, options);
  if (verbose) {
    terminal.say(`model ${declaration.id} (${declaration.family}, ${declaration.precision}) in ${directory}`);
    terminal.say(
      `images ${files.length}, texts ${texts.length}, threads ${plan.compute.threads}, batch size ${plan.batchSize}, decoders ${settings.decoders}`,
    );
  }
  return {
    discovery,
    load: async () => loadMatchingModel(pack, tokenIds, plan),
    outcomes: (model, signal) => {
      const run = { files, image: declaration.image, model, settings, pixels: decodeFile, signal };
      return top === undefined ? matchImages(run) : rankImages(run, top);
    },
    onEnd: ({ embeddedImages }) => {
      if (verbose) terminal.say(`the image encoder ran on ${embeddedImages} images`);
    },
  };
}

/** @throws UsageError when there are none, or their file cannot be read. */
async function readTexts({ text = [], texts: path }: MatchOptions): Promise<string[]> {
  const texts = path === undefined ? text : [...text, ...splitLines(await readTextFile(path))];
  if (texts.length > 0) return texts;
  throw new UsageError('no texts given. Give a text with --text, or a list of texts with --texts.');
}

async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = systemErrorCode(error) === 'ENOENT' ? 'there is no such file' : String(error);
    throw new UsageError(`--texts ${path}: ${reason}.`, { cause: error });
  }
}

/** Token ids of each text. Says so when a text is too long for the model. */
async function tokenize(pack: Pack, texts: readonly string[], terminal: Terminal): Promise<(readonly number[])[]> {
  const matchingTexts = await MatchingTexts.load(pack);
  return texts.map((text) => {
    const { ids, isCut } = matchingTexts.tokenize(text);
    if (isCut) terminal.say(`the model reads only the first ${matchingTexts.maxTxtLen} tokens of the text "${text}".`);
    return ids;
  });
}

/** @throws UsageError for a pack without matching heads. The message names models that have them. */
async function requireHeads({ declaration }: Pack): Promise<void> {
  if (hasHeads(declaration)) return;
  const here = (await listPacks()).filter(({ pack }) => pack !== undefined && hasHeads(pack.declaration));
  const advice =
    here.length > 0
      ? `Use --model with one that can: ${here.map(({ id }) => id).join(', ')}.`
      : adviceToPull(await knownMatchingModel());
  throw new UsageError(
    `the model ${declaration.id} has no matching heads, so it cannot match images with texts. ${advice}`,
  );
}

function adviceToPull(known: KnownModel | undefined): string {
  return known === undefined
    ? 'Import one that can.'
    : `Download one that can, such as ${known.id}: minigpt models pull ${known.id}`;
}

function hasHeads({ matching }: Pack['declaration']): boolean {
  return matching.includes('itc') && matching.includes('itm');
}
