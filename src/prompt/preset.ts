/**
 * A published way of decoding under a name: with what a paper's numbers were made, or what a demo starts with. Presets are data of a prompt
 * family (`presets` in `prompts/NAME.json`); their keys and sources are in `prompts/README.md`.
 */
import { LANGUAGE_KINDS, type LanguageDeclaration } from '../pack/model-declaration.ts';
import type { ObjectReader } from '../pack/object-reader.ts';
import { Template } from './template.ts';

/** The commands that a preset can be for. */
export const PRESET_TASKS = ['caption', 'ask', 'chat'] as const;
export type PresetTask = (typeof PRESET_TASKS)[number];

/** Drawing tokens by their probability. */
export type PresetSampling = { temperature: number; topK: number; topP: number };

/** What a preset settles; what it leaves out is as the family has it. */
export type PresetSettings = {
  /** The text to continue, or the instruction. */
  prompt?: string;
  /** How a question is put. */
  questionTemplate?: Template;
  beams?: number;
  lengthPenalty?: number;
  repetitionPenalty?: number;
  noRepeatNgram?: number;
  maxNewTokens?: number;
  minNewTokens?: number;
  sampling?: PresetSampling;
};

type LanguageKind = LanguageDeclaration['kind'];

export class Preset {
  readonly name: string;
  readonly tasks: readonly PresetTask[];
  readonly #settings: PresetSettings;
  /** What differs between models that write behind their prompt and those that read it with an encoder. */
  readonly #ofKind: ReadonlyMap<LanguageKind, PresetSettings>;

  private constructor(reader: ObjectReader, file: string) {
    this.name = reader.string('name');
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(this.name)) reader.fail('name', 'words of a-z and 0-9, joined by -');
    const tasks = reader.strings('tasks');
    this.tasks = PRESET_TASKS.filter((task) => tasks.includes(task));
    if (this.tasks.length !== tasks.length || tasks.length === 0) {
      reader.fail('tasks', `a list of ${PRESET_TASKS.join(', ')}`);
    }
    this.#settings = readSettings(reader, file);
    const language = reader.objectOrEmpty('language');
    const kinds = LANGUAGE_KINDS.filter((kind) => language.has(kind));
    this.#ofKind = new Map(
      kinds.map((kind) => {
        const differing = language.object(kind);
        const settings = readSettings(differing, file);
        differing.refuseUnknownKeys();
        return [kind, settings];
      }),
    );
    language.refuseUnknownKeys();
    for (const kind of [undefined, ...LANGUAGE_KINDS]) refuseContradiction(this.settingsFor(kind), reader);
    reader.refuseUnknownKeys();
  }

  /**
   * Takes the list of presets under `presets`; none where the key is absent.
   *
   * @param file for messages
   * @throws PackError when a key is missing, unknown or mistyped, a name stands twice, or settings contradict each other.
   */
  static readAll(reader: ObjectReader, file: string): Preset[] {
    if (!reader.has('presets')) return [];
    const presets = reader.list('presets').map((preset) => new Preset(preset, file));
    const names = presets.map(({ name }) => name);
    if (new Set(names).size !== names.length) reader.fail('presets', 'a list without repeated names');
    return presets;
  }

  /** The settings for a language model of this kind; undefined gives those that all kinds share. */
  settingsFor(kind: LanguageKind | undefined): PresetSettings {
    return { ...this.#settings, ...(kind === undefined ? {} : this.#ofKind.get(kind)) };
  }
}

function readSettings(reader: ObjectReader, file: string): PresetSettings {
  const settings: PresetSettings = {};
  if (reader.has('prompt')) settings.prompt = reader.string('prompt');
  if (reader.has('question_template')) {
    const where = { file, key: 'presets.question_template' };
    settings.questionTemplate = Template.parse(reader.string('question_template'), ['question'], 1, where);
  }
  if (reader.has('beams')) settings.beams = readWithin(reader, 'beams', 2, 64);
  if (reader.has('length_penalty')) settings.lengthPenalty = readWithin(reader, 'length_penalty', -10, 10);
  if (reader.has('repetition_penalty')) settings.repetitionPenalty = readAboveZero(reader, 'repetition_penalty');
  if (reader.has('no_repeat_ngram')) settings.noRepeatNgram = reader.integer('no_repeat_ngram');
  if (reader.has('max_new_tokens')) settings.maxNewTokens = reader.integer('max_new_tokens');
  if (reader.has('min_new_tokens')) settings.minNewTokens = reader.integer('min_new_tokens');
  if (reader.has('sampling')) settings.sampling = readSampling(reader.object('sampling'));
  return settings;
}

function readSampling(reader: ObjectReader): PresetSampling {
  const sampling = {
    temperature: readAboveZero(reader, 'temperature'),
    topK: reader.integer('top_k'),
    topP: readAboveZero(reader, 'top_p'),
  };
  if (sampling.topP > 1) reader.fail('top_p', 'at most 1');
  reader.refuseUnknownKeys();
  return sampling;
}

function refuseContradiction(settings: PresetSettings, reader: ObjectReader): void {
  const { beams, sampling, lengthPenalty, maxNewTokens, minNewTokens = 0 } = settings;
  if (beams !== undefined && sampling !== undefined) reader.fail('sampling', 'absent where there are beams');
  if (lengthPenalty !== undefined && beams === undefined)
    reader.fail('beams', 'a number, since a length_penalty ranks');
  if (maxNewTokens !== undefined && minNewTokens > maxNewTokens)
    reader.fail('min_new_tokens', 'at most max_new_tokens');
}

function readWithin(reader: ObjectReader, key: 'beams' | 'length_penalty', least: number, most: number): number {
  const value = key === 'beams' ? reader.integer(key) : reader.number(key);
  return value >= least && value <= most ? value : reader.fail(key, `from ${least} to ${most}`);
}

function readAboveZero(reader: ObjectReader, key: string): number {
  const value = reader.number(key);
  return value > 0 ? value : reader.fail(key, 'above 0');
}
