/**
 * What a published folder says of its tokenizer beside the vocabulary: `tokenizer_config.json`, `special_tokens_map.json` and
 * `added_tokens.json`, as far as a conversion needs them. Each may be missing, and old folders say little.
 */
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import { readSmallFile } from '../read/small-file.ts';
import type { AddedToken } from './converted-tokenizer.ts';

export type FolderSettings = {
  /** `bos_token`; some conversions of LLaMA have an empty one, which counts as none. */
  startToken?: string;
  /** `add_bos_token`. */
  addStartToken?: boolean;
  /** Tokens with a role or an id of their own, those of the vocabulary included. */
  addedTokens: readonly AddedToken[];
  cleanUpSpaces?: boolean;
  /** Of T5. */
  extraIds?: number;
  /** Of BERT. */
  lowercase?: boolean;
};

type JsonObject = Readonly<Record<string, unknown>>;

const SPECIAL_ROLES = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'cls_token', 'sep_token', 'mask_token'];

/** @throws CheckpointError when a file cannot be read or a setting is of another type than it should be. */
export async function readFolderSettings(directory: string): Promise<FolderSettings> {
  const path = join(directory, 'tokenizer_config.json');
  const config = await readJsonObject(path);
  const addedPath = join(directory, 'added_tokens.json');
  const added = await readJsonObject(addedPath);
  // The map is read after the config by the tokenizers' authors, and wins.
  const roles: JsonObject = { ...config, ...(await readJsonObject(join(directory, 'special_tokens_map.json'))) };
  const more = roles['additional_special_tokens'];
  const special = new Set(
    [...SPECIAL_ROLES.map((role) => roles[role]), ...(Array.isArray(more) ? (more as unknown[]) : [])]
      .map(contentOf)
      .filter((content) => content !== undefined),
  );

  const tokens = new Map<string, AddedToken>();
  for (const [key, entry] of Object.entries(asObject(config['added_tokens_decoder']))) {
    const content = contentOf(entry);
    const { special: isSpecial, normalized } = asObject(entry);
    if (content === undefined) throw new CheckpointError(path, `added_tokens_decoder has no token for id ${key}.`);
    tokens.set(content, {
      content,
      id: idOf(Number(key), content, path),
      special: isSpecial === true || special.has(content),
      ...(typeof normalized === 'boolean' ? { normalized } : {}),
    });
  }
  for (const [content, id] of Object.entries(added)) {
    if (!tokens.has(content)) {
      tokens.set(content, { content, id: idOf(id, content, addedPath), special: special.has(content) });
    }
  }
  for (const content of special) if (!tokens.has(content)) tokens.set(content, { content, special: true });

  const startToken = contentOf(roles['bos_token']);
  const addStartToken = optional(config, 'add_bos_token', 'boolean', path);
  const cleanUpSpaces = optional(config, 'clean_up_tokenization_spaces', 'boolean', path);
  const extraIds = optional(config, 'extra_ids', 'number', path);
  const lowercase = optional(config, 'do_lower_case', 'boolean', path);
  return {
    addedTokens: [...tokens.values()],
    ...(startToken === undefined ? {} : { startToken }),
    ...(addStartToken === undefined ? {} : { addStartToken }),
    ...(cleanUpSpaces === undefined ? {} : { cleanUpSpaces }),
    ...(extraIds === undefined ? {} : { extraIds }),
    ...(lowercase === undefined ? {} : { lowercase }),
  };
}

/** An empty object where the file is missing. */
async function readJsonObject(path: string): Promise<JsonObject> {
  const bytes = await readSmallFile(path);
  if (bytes === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new CheckpointError(path, `the file is not valid JSON (${String(cause)}).`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CheckpointError(path, 'the file should be a JSON object.');
  }
  return value as JsonObject;
}

/** A token is written as its text, or as an object with `content`. */
function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'string' ? token : asObject(token)['content'];
  return typeof content === 'string' && content !== '' ? content : undefined;
}

function idOf(id: unknown, content: string, path: string): number {
  if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0) return id;
  throw new CheckpointError(
    path,
    `token ${JSON.stringify(content)} has the id ${JSON.stringify(id)}, which is not a valid id.`,
  );
}

function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null ? (value as JsonObject) : {};
}

function optional(config: JsonObject, key: string, type: 'boolean', path: string): boolean | undefined;
function optional(config: JsonObject, key: string, type: 'number', path: string): number | undefined;
function optional(config: JsonObject, key: string, type: string, path: string): unknown {
  const value = config[key];
  if (value === undefined || value === null || typeof value === type) return value ?? undefined;
  throw new CheckpointError(path, `${key} should be a ${type} but is ${JSON.stringify(value)}.`);
}
