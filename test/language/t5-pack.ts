/** The language model of a tiny T5 checkpoint as a pack, built straight from its tensors. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { planLanguage } from '../../src/importer/architectures/language-architecture.ts';
import { T5 } from '../../src/importer/architectures/t5.ts';
import { HUGGINGFACE_NAMES } from '../../src/importer/names/huggingface.ts';
import type { LanguageDeclaration } from '../../src/pack/model-declaration.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import { openWeights, writePack, type OpenWeights } from '../vision/tiny-pack.ts';

export type T5Config = ReturnType<typeof T5.readConfig>;

export type T5Pack = { directory: string; language: LanguageDeclaration; config: T5Config; leftOver: string[] };

/** @param model folder with config.json, whose text_config is read, and model.safetensors */
export async function buildT5Pack(model: string): Promise<T5Pack> {
  const config = ObjectReader.parse(await readFile(join(model, 'config.json'), 'utf8'), 'config.json');
  const opened = await openWeights([join(model, 'model.safetensors')], HUGGINGFACE_NAMES);
  return writeT5Pack(opened, T5.readConfig(config.object('text_config')));
}

/** Builds the four graphs from tensors under `language_model`, and closes the files. */
export async function writeT5Pack({ weights, close }: OpenWeights, config: T5Config): Promise<T5Pack> {
  const plan = planLanguage(T5, config);
  let vocabSize = 0;
  const { directory } = await writePack({}, (graph) => {
    vocabSize = plan.build(graph, weights.at('language_model'));
  });
  await close();
  const language: LanguageDeclaration = { ...plan.sizes, vocabSize, eosTokenIds: [1] };
  return { directory, language, config, leftOver: [...weights.leftOver.keys()] };
}
