/**
 * How a family of models is spoken to: templates, where the image stands, what is cut off the answer, how long an answer may get.
 * All of it is data in `prompts/NAME.json`, because one space more or less changes what a published model answers.
 *
 * Keys of the file (unknown ones are refused):
 *
 * - `schema`: 1.
 * - `caption`, `question`: `template` with `<image>` where the image tokens stand and `{prompt}` or `{question}` where the user's text
 *   goes; `max_new_tokens` and `min_new_tokens` when the user sets none; for captions also `prompt`, the text to continue by default.
 * - `conversation`: `turn` is written for each earlier `{question}` and `{answer}`; the turns, end to end, are `{turns}` in `template`.
 * - `add_special_tokens`: whether the tokenizer's own special tokens go around each text (OPT's puts `</s>` in front).
 * - `clean_up`: `strip` removes white space around the answer, as Python's `str.strip` does.
 * - `stop`: `eos`: an answer ends at the pack's `eos_token_id`.
 *
 * `blip2.json` follows LAVIS: `lavis/models/blip2_models/blip2_opt.py` (`generate`: at most 30 tokens; `predict_answers`: at most 10) and the
 * prompts of its demo notebooks, https://github.com/salesforce/LAVIS/tree/main/projects/blip2. Its `min_length` of 1 counts a start token
 * that is always there, hence no least length here.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PackError } from '../errors.ts';
import { ObjectReader } from '../pack/object-reader.ts';
import { IMAGE_MARK, Template, type FilledSegment } from './template.ts';

/** A stretch of a prompt in the model's order: the image's tokens, or a text to tokenize. */
export type PromptSegment = { type: 'image' } | { type: 'text'; text: string; addSpecialTokens: boolean };

/** What is sent to the model for one image. */
export type Prompt = {
  /** The exact text, images shown as `<image>`. */
  text: string;
  segments: PromptSegment[];
};

/** An earlier question of a conversation and what the model answered. */
export type Turn = { question: string; answer: string };

export type AnswerLength = { maxNewTokens: number; minNewTokens: number };

/** White space by the rule of Python's `str.strip`: Unicode's, and the four separators U+001C to U+001F. */
// oxlint-disable-next-line no-control-regex -- a byte-level model can write them, and Python strips them
const SPACE_AROUND = /^[\p{White_Space}\u{1c}-\u{1f}]+|[\p{White_Space}\u{1c}-\u{1f}]+$/gu;

/** Same depth below the package root in `src/prompt` and `dist/prompt`. */
const PROMPTS_FOLDER = fileURLToPath(new URL('../../prompts/', import.meta.url));

export class PromptFamily {
  /** Lengths that hold where the user sets none. */
  readonly defaults: { readonly caption: AnswerLength; readonly ask: AnswerLength };
  /** What ends an answer: the pack's end token. */
  readonly stop: 'eos';
  readonly #defaultPrompt: string;
  readonly #captionTemplate: Template;
  readonly #questionTemplate: Template;
  readonly #conversationTemplate: Template;
  readonly #turnTemplate: Template;
  readonly #addSpecialTokens: boolean;

  private constructor(root: ObjectReader, file: string) {
    const template = (reader: ObjectReader, section: string, placeholder: string[], images: number, key = 'template') =>
      Template.parse(reader.string(key), placeholder, images, { file, key: `${section}.${key}` });
    const caption = root.object('caption');
    const question = root.object('question');
    const conversation = root.object('conversation');
    this.#captionTemplate = template(caption, 'caption', ['prompt'], 1);
    this.#defaultPrompt = caption.string('prompt');
    this.#questionTemplate = template(question, 'question', ['question'], 1);
    this.#conversationTemplate = template(conversation, 'conversation', ['turns', 'question'], 1);
    this.#turnTemplate = template(conversation, 'conversation', ['question', 'answer'], 0, 'turn');
    this.#addSpecialTokens = root.boolean('add_special_tokens');
    this.stop = root.oneOf('stop', ['eos']);
    root.oneOf('clean_up', ['strip']);
    this.defaults = { caption: readLength(caption), ask: readLength(question) };
    for (const reader of [caption, question, conversation, root]) reader.refuseUnknownKeys();
  }

  /**
   * Validates the text of a prompt file. `file` is only for messages.
   *
   * @throws PackError when a key is missing, unknown or mistyped, or a template lacks its image or a placeholder.
   */
  static parse(json: string, file: string): PromptFamily {
    const root = ObjectReader.parse(json, file);
    const schema = root.integer('schema');
    if (schema !== 1) throw new PackError(file, `it has schema ${schema}, but this version of minigpt reads schema 1.`);
    return new PromptFamily(root, file);
  }

  /** A description that continues `prompt`. */
  caption(prompt: string = this.#defaultPrompt): Prompt {
    return this.#fill(this.#captionTemplate, { prompt });
  }

  /** One question, without what was said before. */
  question(question: string): Prompt {
    return this.#fill(this.#questionTemplate, { question });
  }

  /** A question after the turns of a conversation, oldest first. */
  conversation(turns: readonly Turn[], question: string): Prompt {
    const spoken = turns.map((turn) => shown(this.#turnTemplate.fill(turn)));
    return this.#fill(this.#conversationTemplate, { turns: spoken.join(''), question });
  }

  /** The answer a user sees, from the decoded text. */
  cleanUp(text: string): string {
    return text.replace(SPACE_AROUND, '');
  }

  #fill(template: Template, values: Readonly<Record<string, string>>): Prompt {
    const filled = template.fill(values);
    const segments = filled.map((segment): PromptSegment =>
      segment.type === 'image' ? segment : { ...segment, addSpecialTokens: this.#addSpecialTokens },
    );
    return { text: shown(filled), segments };
  }
}

/**
 * Reads `prompts/NAME.json` of this package.
 *
 * @throws PackError when there is no such family or its file is not valid.
 */
export async function loadPromptFamily(name: string): Promise<PromptFamily> {
  const file = join(PROMPTS_FOLDER, `${name}.json`);
  // The name comes from a pack's model.json, which may be anybody's: it must not lead out of the folder.
  const known = (await readdir(PROMPTS_FOLDER)).filter((entry) => entry.endsWith('.json'));
  if (!known.includes(`${name}.json`)) {
    const names = known.map((entry) => entry.slice(0, -'.json'.length)).join(', ');
    throw new PackError(name, `no such prompt family; this version of minigpt has ${names}.`);
  }
  return PromptFamily.parse(await readFile(file, 'utf8'), file);
}

function readLength(reader: ObjectReader): AnswerLength {
  return { maxNewTokens: reader.integer('max_new_tokens'), minNewTokens: reader.integer('min_new_tokens') };
}

/** Segments as one text. */
function shown(segments: readonly FilledSegment[]): string {
  return segments.map((segment) => (segment.type === 'image' ? IMAGE_MARK : segment.text)).join('');
}
