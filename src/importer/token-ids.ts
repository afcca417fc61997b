/**
 * Which token ids end an answer (spec 4.1, 4.3, 6.1). config.json cannot always be trusted: some published language models have the ids of
 * a library's defaults in it, and the right ones in generation_config.json.
 */
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { Family } from '../pack/model-declaration.ts';
import type { ObjectReader } from '../pack/object-reader.ts';
import { FAMILY_TRAITS } from './families.ts';
import { readJson } from './read/checkpoint-source.ts';
import type { RoledSource } from './source-role.ts';

/** How a byte-level vocabulary spells a line feed. */
const LINE_FEED = 'Ċ';

/** What ends a text of BERT's, which a Q-Former writes. */
const BERT_END = '[SEP]';

/**
 * @param directory the pack's folder, where the tokenizers are already
 * @throws CheckpointError when no end id is known, or it is beyond the vocabulary.
 */
export async function readEosTokenIds(
  sources: readonly RoledSource[],
  family: Family,
  vocabSize: number,
  directory: string,
): Promise<number[]> {
  if (FAMILY_TRAITS[family].language === undefined) {
    return [await tokenOf(join(directory, 'qformer_tokenizer'), BERT_END)];
  }
  const roled = sources.findLast(
    ({ role }) => role.kind === 'whole-model' || (role.kind === 'language-model' && !role.isDelta),
  );
  if (roled === undefined) return [];
  const { source, role } = roled;
  // BLIP-2 with OPT was trained to end its captions with a line feed; only whole models say so in their config.
  if (family === 'blip2-opt' && role.kind === 'language-model') return [await tokenOf(directory, LINE_FEED)];
  const config = role.kind === 'whole-model' ? role.config.objectOrEmpty('text_config') : configOf(role);
  const generation = (await source.has('generation_config.json'))
    ? await source.json('generation_config.json')
    : undefined;
  const isRebuilt = generation?.has('_from_model_config') === true && generation.boolean('_from_model_config');
  const owner = generation?.has('eos_token_id') === true && !isRebuilt ? generation : config;
  const ids = owner.has('eos_token_id') ? integerOrList(owner, 'eos_token_id') : defaultIds(family);
  const beyond = ids.find((id) => id >= vocabSize);
  if (ids.length === 0 || beyond !== undefined) {
    throw new CheckpointError(
      source.path,
      `eos_token_id should be ids below the vocabulary's ${vocabSize} rows, but is ${ids.length === 0 ? 'missing' : String(beyond)}.`,
    );
  }
  return ids;
}

/** The id of a token as the vocabulary spells it. */
async function tokenOf(directory: string, token: string): Promise<number> {
  const tokenizer = await readJson(join(directory, 'tokenizer.json'));
  return tokenizer.object('model').object('vocab').integer(token);
}

function configOf(role: RoledSource['role']): ObjectReader {
  if (role.kind !== 'language-model') throw new RangeError('only a language model has a config here');
  return role.config;
}

function integerOrList(reader: ObjectReader, key: string): number[] {
  return reader.isList(key) ? reader.integers(key) : [reader.integer(key)];
}

/** The defaults of the config classes of transformers, which published files leave out. */
function defaultIds(family: Family): number[] {
  return family.endsWith('t5') ? [1] : [2];
}
