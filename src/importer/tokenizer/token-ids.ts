/**
 * Which token ids end an answer. config.json cannot always be trusted: some published language models have the ids of a library's defaults in
 * it, and the right ones in generation_config.json.
 */
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import type { Family } from '../../pack/model-declaration.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import { required } from '../../required.ts';
import { FAMILY_TRAITS } from '../families/families.ts';
import { readJson } from '../read/checkpoint-source.ts';
import { findGenerationConfig } from '../sources/part-sources.ts';
import { languageSource, type RoledSource } from '../sources/source-role.ts';

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
  const { language, endToken } = FAMILY_TRAITS[family];
  if (language === undefined) return [await tokenOf(join(directory, 'qformer_tokenizer'), BERT_END)];
  const { source, role } = required(languageSource(sources), 'the source whose config describes the language model');
  const isOwnFolder = role.kind === 'language-model';
  if (endToken !== undefined && isOwnFolder) return [await tokenOf(directory, endToken)];
  const config = isOwnFolder ? role.config : role.config.objectOrEmpty('text_config');
  const generation = await (await findGenerationConfig(sources))?.part.json('generation_config.json');
  const isRebuilt = generation?.has('_from_model_config') === true && generation.boolean('_from_model_config');
  const owner = generation?.has('eos_token_id') === true && !isRebuilt ? generation : config;
  const byDefault = [...language.architecture.defaultEosTokenIds];
  const ids = owner.has('eos_token_id') ? integerOrList(owner, 'eos_token_id') : byDefault;
  const beyond = ids.find((id) => id >= vocabSize);
  if (ids.length === 0 || beyond !== undefined) {
    throw new CheckpointError(
      source.path,
      `eos_token_id should be ids below the vocabulary's ${vocabSize} rows, but is ${ids.length === 0 ? 'missing' : String(beyond)}.`,
    );
  }
  return ids;
}

/**
 * @param language what is declared of the language model; undefined without one
 * @throws CheckpointError when the token that every answer begins with is beyond the vocabulary.
 */
export function requireStartToken(
  sources: readonly RoledSource[],
  language: { decoderStartTokenId: number | undefined; vocabSize: number } | undefined,
): void {
  if (language?.decoderStartTokenId === undefined || language.decoderStartTokenId < language.vocabSize) return;
  throw new CheckpointError(
    required(languageSource(sources), 'the source whose config describes the language model').source.path,
    `decoder_start_token_id should be an id below the vocabulary's ${language.vocabSize} rows, but is ${language.decoderStartTokenId}.`,
  );
}

/** The id of a token as the vocabulary spells it. */
async function tokenOf(directory: string, token: string): Promise<number> {
  const tokenizer = await readJson(join(directory, 'tokenizer.json'));
  return tokenizer.object('model').object('vocab').integer(token);
}

function integerOrList(reader: ObjectReader, key: string): number[] {
  return reader.isList(key) ? reader.integers(key) : [reader.integer(key)];
}
