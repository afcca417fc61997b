/**
 * From published checkpoints to a model pack: the one entry point of the importer.
 *
 * Order of work: open the sources, find out what they make, lay them over each other, build every graph (which takes each tensor once, with
 * its shape), look at what was left over, and only then write. Weights stream from the checkpoint into the pack; memory does not grow with
 * the checkpoint.
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative, sep } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { digestFile } from '../pack/file-digest.ts';
import {
  formatModelDeclaration,
  type Family,
  type FileDigest,
  type ImageDeclaration,
  type MatchingText,
  type ModelDeclaration,
  type Precision,
} from '../pack/model-declaration.ts';
import type { ObjectReader } from '../pack/object-reader.ts';
import { refuseTiedTables } from './adapters/tied-tables.ts';
import { buildGraphs, type BuiltGraphs } from './build-graphs.ts';
import { explainMissing, FAMILY_TRAITS } from './families/families.ts';
import { ExternalData } from './graph/external-data.ts';
import { encodeHere } from './graph/weight-piece.ts';
import type { ImportThreads } from './import-threads.ts';
import { explainLeftOver, type LeftOverTensor } from './left-over.ts';
import { declaredImageSize, resolveConfig, wholeConfig, type ModelConfig } from './model-config.ts';
import { unneededReason } from './names/unneeded.ts';
import { ADAPTER_CONFIG, CheckpointSource, readJson } from './read/checkpoint-source.ts';
import { ORIGINAL_PREPROCESSING, readImageDeclaration, type ImageSettings } from './read/image-processor.ts';
import { CheckpointWeights } from './read/weights.ts';
import { layOver } from './sources/overlay.ts';
import { choiceOf, findGenerationConfig, findImageSettings, type PartChoice } from './sources/part-sources.ts';
import { recognizeFamily } from './sources/recognize-family.ts';
import { assignRoles, type RoledSource } from './sources/source-role.ts';
import { readEosTokenIds, requireStartToken } from './tokenizer/token-ids.ts';
import { findTokenizers, writeTokenizers, type WrittenTokenizers } from './tokenizer/tokenizer-files.ts';

/** Elements from which threads are started (128 MB of float32): less is imported before a thread would have started. */
const WORTH_THREADS = 32 * 2 ** 20;

/** More threads would encode faster than one thread hashes and a disk reads, and each takes memory. */
const MOST_THREADS = 8;

/** `max_txt_len` of LAVIS' first stage. */
const LAVIS_TEXT_TOKENS = 32;

/** What is known once the configs are read and the graphs are built, before anything is written. */
export type ImportPlan = {
  family: Family;
  precision: Precision;
  /** Bytes of the weights in the pack. */
  weightBytes: number;
  tensorsUsed: number;
  leftOver: LeftOverTensor[];
  /** Tensors that a later source has too, with the file of that. */
  replaced: { name: string; file: string; by: string }[];
  /** Matrices that adapters were merged into. */
  adapted: number;
  /** Where each part comes from of which there was a choice. */
  choices: PartChoice[];
};

export type ImportOptions = {
  /** Folders and files of checkpoints; later ones go over earlier ones. */
  sources: readonly string[];
  id: string;
  precision: Precision;
  /** The family, where it is not to be found out. */
  family?: Family | undefined;
  /** Path of a JSON file with what no tensor reveals, in the keys of Hugging Face's configs. */
  config?: string | undefined;
  /** Whether tensors of unknown names may be left over. */
  allowUnused?: boolean | undefined;
  /** Threads that encode weights, 0 for none; by default as many as the size of the checkpoint is worth. The pack does not depend on it. */
  threads?: number | undefined;
  /** Called once, before writing; what it throws ends the import. */
  onPlan?: (plan: ImportPlan) => void | Promise<void>;
  /** Called once the tokenizers lie in the folder and before any weight does, with all but the files; what it throws ends the import. */
  onTexts?: (declaration: ModelDeclaration) => Promise<void>;
  /** Called with the weight bytes written since the last call. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
};

/**
 * Imports a checkpoint into the existing, empty folder `directory`.
 *
 * @throws CheckpointError, ShapeError when the sources are not what an architecture expects.
 */
export async function importCheckpoint(directory: string, options: ImportOptions): Promise<ModelDeclaration> {
  const sources: CheckpointSource[] = [];
  try {
    for (const path of options.sources) sources.push(await CheckpointSource.open(path));
    return await importSources(await assignRoles(sources), directory, options);
  } finally {
    for (const source of sources) await source.close();
  }
}

async function importSources(
  sources: readonly RoledSource[],
  directory: string,
  options: ImportOptions,
): Promise<ModelDeclaration> {
  const { precision, id } = options;
  const family = options.family ?? recognizeFamily(sources);
  const { language, bridge, promptFamily } = FAMILY_TRAITS[family];
  const override = await readOverride(sources, options.config);
  const overlay = layOver(sources, family);
  const config = resolveConfig(sources, overlay.tensors, family, override);
  const settings = await findImageSettings(sources);
  const image = readImage(sources, config, settings?.part);
  const folders = await findTokenizers(sources, family);

  const external = new ExternalData();
  const weights = new CheckpointWeights(overlay.tensors, {
    where: options.sources.join(', '),
    explainMissing: (name) => explainMissing(family, name),
    deltas: overlay.deltas,
    adaptations: overlay.adaptations,
  });
  const built = buildGraphs(weights, external, bridge, config, precision);
  requireStartToken(sources, built.language);
  const visionLayers = config.vision.numHiddenLayers;
  const leftOver = explainLeftOver(
    weights,
    overlay,
    (name) => unneededReason(name, visionLayers, language?.architecture.leftOver),
    options.allowUnused === true,
  );
  const adapters = sources.filter(({ role }) => role.kind === 'adapter').map(({ source }) => source);
  await refuseTiedTables(adapters, weights, overlay);
  const { totalBytes: weightBytes } = external;
  await options.onPlan?.({
    family,
    precision,
    weightBytes,
    tensorsUsed: weights.used.length,
    leftOver,
    replaced: overlay.replaced.map(({ tensor: { name, file }, by }) => ({ name, file, by })),
    adapted: weights.used.filter((name) => overlay.adaptations.has(name)).length,
    choices: [
      ...sources.flatMap(({ source }) => weightChoice(source)),
      ...choiceOf('image settings', settings),
      ...choiceOf('generation settings', await findGenerationConfig(sources)),
      ...folders.choices,
    ],
  });

  const tokenizers = await writeTokenizers(folders, sources, family, directory);
  const described: ModelDeclaration = {
    schema: 1,
    id,
    family,
    promptFamily,
    precision,
    image,
    numImageTokens: built.numImageTokens,
    bridge,
    language: built.language && {
      ...built.language,
      eosTokenIds: await readEosTokenIds(sources, family, built.language.vocabSize, directory),
    },
    matching: built.matching,
    storage: external.shares.map(({ location, ...share }) => ({ path: location, ...share })),
    matchingText: built.textPositions === undefined ? undefined : matchingText(sources, built.textPositions),
    source: { files: [] },
    files: [],
  };
  await options.onTexts?.(described);
  const { files, sourceFiles } = await writeFiles(sources, directory, built, external, tokenizers, options);
  const declaration = { ...described, source: { files: sourceFiles }, files };
  await writeFile(join(directory, 'model.json'), formatModelDeclaration(declaration));
  return declaration;
}

/** @throws CheckpointError where a whole model, which says everything itself, would be contradicted. */
async function readOverride(
  sources: readonly RoledSource[],
  path: string | undefined,
): Promise<ObjectReader | undefined> {
  if (path === undefined) return undefined;
  const whole = sources.find(({ role }) => role.kind === 'whole-model');
  if (whole !== undefined) {
    throw new CheckpointError(
      path,
      `${whole.source.path} has a config.json of its own, so --config is not needed. Leave it out.`,
    );
  }
  return readJson(path);
}

/** @throws CheckpointError when a whole model says nowhere how its images are prepared, or two things. */
function readImage(
  sources: readonly RoledSource[],
  { vision: { imageSize } }: ModelConfig,
  settings: ImageSettings | undefined,
): ImageDeclaration {
  const whole = wholeConfig(sources);
  if (whole === undefined) return { imageSize, ...ORIGINAL_PREPROCESSING };
  if (settings === undefined) {
    throw new CheckpointError(
      sources.map(({ source }) => source.path).join(', '),
      'the image settings are missing: preprocessor_config.json, or processor_config.json with image_processor in it. Copy the file from the model that this one was made from, or give the folder of that model before it.',
    );
  }
  const image = readImageDeclaration(settings);
  const declared = declaredImageSize(whole);
  if (image.imageSize !== declared) {
    throw new CheckpointError(
      settings.path,
      `it makes images of ${image.imageSize} pixels, but config.json expects ${declared}. If config.json is right, write "size": {"height": ${declared}, "width": ${declared}}.`,
    );
  }
  return { ...image, imageSize };
}

/** The weight files of a folder that holds several. */
function weightChoice({ path, choice }: CheckpointSource): PartChoice[] {
  if (choice === undefined) return [];
  const why = 'as in transformers, a single file comes before shards, and safetensors before pickles';
  return [{ part: `weights of ${path}`, ...choice, why }];
}

/** LAVIS' own files were trained with its text processor and a short limit; a whole model takes the text as it is, as transformers does. */
function matchingText(sources: readonly RoledSource[], positions: number): MatchingText {
  const isWhole = sources.some(({ role }) => role.kind === 'whole-model');
  return isWhole
    ? { textProcessor: 'none', maxTxtLen: positions }
    : { textProcessor: 'blip_caption', maxTxtLen: Math.min(LAVIS_TEXT_TOKENS, positions) };
}

/** Writes graphs and weights. Returns the digests of all files of the pack and of what they were made from. */
async function writeFiles(
  sources: readonly RoledSource[],
  directory: string,
  { graphs }: BuiltGraphs,
  external: ExternalData,
  tokenizers: WrittenTokenizers,
  options: ImportOptions,
): Promise<{ files: FileDigest[]; sourceFiles: FileDigest[] }> {
  const { onBytes, signal } = options;
  for (const graph of graphs) await writeFile(join(directory, graph.fileName), graph.encode());
  const count = options.threads ?? encodingThreads(external.elements);
  const weightPaths = sources.flatMap(({ source }) => source.weightPaths);
  const threads = count === 0 ? undefined : await startThreads(count, weightPaths);
  try {
    const weights = await external.write(directory, onBytes ?? (() => {}), signal, threads ?? encodeHere);
    const files: FileDigest[] = [];
    for (const path of graphs.map((graph) => graph.fileName))
      files.push({ path, ...(await digestFile(join(directory, path), signal)) });
    files.push(...weights);
    for (const path of tokenizers.files) files.push({ path, ...(await digestFile(join(directory, path), signal)) });
    // Without threads nothing was hashed on the way.
    const known = (await threads?.digestSources(signal)) ?? new Map<string, FileDigest>();
    return { files, sourceFiles: await digestSources(sources, tokenizers.sources, known, signal) };
  } finally {
    await threads?.close();
  }
}

/** How many threads encode a model of so many weights; 0 where the main thread does it. */
export function encodingThreads(elements: number): number {
  return elements < WORTH_THREADS ? 0 : Math.min(availableParallelism(), MOST_THREADS);
}

/** A small import does not even load the code of the threads. */
async function startThreads(count: number, paths: readonly string[]): Promise<ImportThreads> {
  const { ImportThreads } = await import('./import-threads.ts');
  return new ImportThreads(count, paths);
}

/**
 * What the pack was made of: configs, weights and tokenizers of each source, with a folder's name in front where there are several sources.
 *
 * @param known digests that were made on the way, by path
 */
async function digestSources(
  sources: readonly RoledSource[],
  tokenizers: readonly string[],
  known: ReadonlyMap<string, FileDigest>,
  signal: AbortSignal | undefined,
): Promise<FileDigest[]> {
  const digests: FileDigest[] = [];
  for (const { source } of sources) {
    const configs: string[] = [];
    for (const name of ['config.json', ADAPTER_CONFIG]) {
      if (await source.has(name)) configs.push(join(source.path, name));
    }
    const root = source.isFolder ? source.path : dirname(source.path);
    const ofSource = tokenizers.filter((path) => source.isFolder && !relative(root, path).startsWith('..'));
    for (const path of [...configs, ...source.weightPaths, ...ofSource]) {
      const name = relative(root, path).replaceAll(sep, '/');
      const folder = sources.length > 1 && source.isFolder ? `${basename(root)}/` : '';
      const { bytes, sha256 } = known.get(path) ?? (await digestFile(path, signal));
      digests.push({ path: `${folder}${name}`, bytes, sha256 });
    }
  }
  return digests;
}
