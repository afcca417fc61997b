/**
 * The published models that `minigpt models pull` knows by an id of ours: one JSON file each in `models/`, data and no code.
 *
 * A model is made from one or several sources, overlaid in their order, since later ones were published as changes to earlier ones: checkpoints
 * and single files in repositories of the hub, and files at plain addresses. No checksums stand here: the hub states them itself.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PackError } from '../errors.ts';
import { FAMILIES, type Family } from '../pack/model-declaration.ts';
import { ObjectReader } from '../pack/object-reader.ts';
import { WEIGHT_FORMATS, type WeightFormat } from './hub/checkpoint-files.ts';
import { isRepositoryName } from './hub/repository-name.ts';
import { isPackId } from './pack-id.ts';

/** A part of a model. `bytes` is about how much is fetched, undefined where nobody knows. */
export type ModelSource =
  /** A checkpoint of transformers in a repository: configs, tokenizers and weights, in this format or the best there is. */
  | {
      kind: 'checkpoint';
      repository: string;
      revision: string;
      format: WeightFormat | undefined;
      bytes: number | undefined;
    }
  /** Single files of a repository. */
  | { kind: 'files'; repository: string; revision: string; files: readonly string[]; bytes: number | undefined }
  /** A file at a plain address; `name` is what it is called on disk. */
  | { kind: 'address'; url: string; name: string; bytes: number | undefined };

export type KnownModel = {
  schema: 1;
  id: string;
  family: Family;
  description: string;
  /** A few words. */
  licence: string;
  /** What the licences are of and what is not known about them, in sentences. */
  terms: string;
  /** Overlaid in this order. */
  sources: readonly ModelSource[];
};

/** Same depth below the package root in `src/store` and `dist/store`. */
const FOLDER = fileURLToPath(new URL('../../models', import.meta.url));

const ENDING = '.json';

/** Every known model, sorted by id. @throws PackError for a file that is not as it should be. */
export async function listKnownModels(folder = FOLDER): Promise<KnownModel[]> {
  const ids = (await readdir(folder)).filter((name) => name.endsWith(ENDING)).map((name) => basename(name, ENDING));
  return Promise.all(ids.toSorted().map(async (id) => readKnownModel(join(folder, id + ENDING))));
}

/** The known model with this id, or undefined. */
export async function findKnownModel(id: string): Promise<KnownModel | undefined> {
  return (await listKnownModels()).find((model) => model.id === id);
}

/** About how many bytes are fetched for a model; undefined where a part is unknown. */
export function downloadBytes({ sources }: KnownModel): number | undefined {
  return sources.reduce<number | undefined>(
    (sum, { bytes }) => (sum === undefined || bytes === undefined ? undefined : sum + bytes),
    0,
  );
}

async function readKnownModel(path: string): Promise<KnownModel> {
  return parseKnownModel(await readFile(path, 'utf8'), path);
}

/** Validates the text of a declaration. `path` names it in messages and gives the id that it must have. */
export function parseKnownModel(text: string, path: string): KnownModel {
  const root = ObjectReader.parse(text, path);
  if (root.integer('schema') !== 1) root.fail('schema', '1');
  const id = root.string('id');
  if (!isPackId(id) || id + ENDING !== basename(path)) root.fail('id', 'the name of the file without its ending');
  const model: KnownModel = {
    schema: 1,
    id,
    family: root.oneOf('family', FAMILIES),
    description: root.string('description'),
    licence: root.string('licence'),
    terms: root.string('terms'),
    sources: root.list('sources').map((source) => readSource(source)),
  };
  root.refuseUnknownKeys();
  if (model.sources.length === 0) throw new PackError(path, 'sources is empty, so there is nothing to download.');
  return model;
}

function readSource(reader: ObjectReader): ModelSource {
  const bytes = reader.has('bytes') ? reader.integer('bytes') : undefined;
  const source = reader.has('url') ? readAddress(reader, bytes) : readRepository(reader, bytes);
  reader.refuseUnknownKeys();
  return source;
}

function readAddress(reader: ObjectReader, bytes: number | undefined): ModelSource {
  const url = reader.string('url');
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:')
    reader.fail('url', 'an address that begins with https:');
  const name = reader.has('name') ? reader.string('name') : basename(new URL(url).pathname);
  if (!isPlainName(name)) reader.fail('name', 'the name of a file');
  return { kind: 'address', url, name, bytes };
}

function readRepository(reader: ObjectReader, bytes: number | undefined): ModelSource {
  const repository = reader.string('repository');
  if (!isRepositoryName(repository)) reader.fail('repository', 'a repository such as org/name');
  const revision = reader.has('revision') ? reader.string('revision') : 'main';
  if (reader.has('files')) {
    const files = reader.strings('files');
    if (files.length === 0 || !files.every(isPlainName)) reader.fail('files', 'a list of names of files');
    return { kind: 'files', repository, revision, files, bytes };
  }
  const format = reader.has('weights') ? reader.oneOf('weights', WEIGHT_FORMATS) : undefined;
  return { kind: 'checkpoint', repository, revision, format, bytes };
}

function isPlainName(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]*$/.test(name);
}
