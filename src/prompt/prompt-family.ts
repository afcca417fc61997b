/**
 * How a family of models is spoken to: templates, where the image stands, what is cut off the answer, how long an answer may get, what ends
 * it. All of it is data in `prompts/NAME.json`, because one space more or less changes what a published model answers. The keys of these
 * files and where their values were published are in `prompts/README.md`.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PackError } from '../errors.ts';
import { ObjectReader } from '../pack/object-reader.ts';
import { CleanUp } from './clean-up.ts';
import { readDetail, type Detail } from './detail.ts';
import { Preset } from './preset.ts';
import { TaskMark } from './task-mark.ts';
import { IMAGE_MARK, Template, type FilledSegment } from './template.ts';

/** A stretch of a prompt in the model's order: the image's tokens, or a text to tokenize by itself. */
export type PromptSegment = { type: 'image' } | { type: 'text'; text: string; addSpecialTokens: boolean };

/** What is sent to the model for one image. */
export type Prompt = {
  /** The exact text, images shown as `<image>`. */
  text: string;
  segments: PromptSegment[];
  /** The text that the Q-Former reads beside the image; absent where it reads none. */
  instruction?: string;
};

/** An earlier question of a conversation and what the model answered, cleaned up; empty where it said nothing. */
export type Turn = { question: string; answer: string };

export type AnswerLength = { maxNewTokens: number; minNewTokens: number };

/** Which text segments of a prompt get the tokenizer's own start and end tokens. */
const SPECIAL_TOKENS = ['all', 'first', 'none'] as const;

/** Same depth below the package root in `src/prompt` and `dist/prompt`. */
const PROMPTS_FOLDER = fileURLToPath(new URL('../../prompts/', import.meta.url));

export class PromptFamily {
  /** Lengths that hold where the user sets none. */
  readonly defaults: { readonly caption: AnswerLength; readonly ask: AnswerLength; readonly chat: AnswerLength };
  /** Whether the Q-Former reads the instruction, so that image tokens belong to an image and a prompt. */
  readonly readsInstruction: boolean;
  /** Sequences of tokens, as the vocabulary spells them, that end an answer beside the pack's end tokens. */
  readonly stopTokens: readonly (readonly string[])[];
  /** Published settings to choose from. */
  readonly presets: readonly Preset[];
  /** How a detailed description is asked for. */
  readonly detail: Detail | undefined;
  readonly #defaultPrompt: string;
  readonly #captionTemplate: Template;
  readonly #questionTemplate: Template;
  readonly #taskMark: TaskMark | undefined;
  readonly #openingTemplate: Template | undefined;
  readonly #conversationTemplate: Template;
  readonly #turnTemplate: Template;
  readonly #unansweredTurnTemplate: Template | undefined;
  readonly #specialTokens: (typeof SPECIAL_TOKENS)[number];
  readonly #answerCleanUp: CleanUp;
  readonly #generatedCleanUp: CleanUp;

  private constructor(root: ObjectReader, file: string) {
    const template = (reader: ObjectReader, section: string, key: string, placeholders: string[], images: number) =>
      Template.parse(reader.string(key), placeholders, images, { file, key: `${section}.${key}` });
    const caption = root.object('caption');
    this.#captionTemplate = template(caption, 'caption', 'template', ['prompt'], 1);
    this.#defaultPrompt = caption.string('prompt');

    const question = root.object('question');
    this.#questionTemplate = template(question, 'question', 'template', ['question'], 1);
    this.#taskMark = question.has('task') ? TaskMark.read(question.object('task')) : undefined;

    const conversation = root.object('conversation');
    const spoken = (key: string, placeholders: string[], images: number) =>
      template(conversation, 'conversation', key, placeholders, images);
    this.#openingTemplate = conversation.has('opening') ? spoken('opening', ['question'], 1) : undefined;
    this.#conversationTemplate = spoken('template', ['turns', 'question'], 1);
    this.#turnTemplate = spoken('turn', ['question', 'answer'], 0);
    this.#unansweredTurnTemplate = conversation.has('unanswered_turn')
      ? spoken('unanswered_turn', ['question'], 0)
      : undefined;

    this.#specialTokens = root.oneOf('add_special_tokens', SPECIAL_TOKENS);
    this.readsInstruction = root.boolean('reads_instruction');
    const cleanUp = root.object('clean_up');
    this.#answerCleanUp = CleanUp.read(cleanUp, 'answer');
    this.#generatedCleanUp = CleanUp.read(cleanUp, 'generated');
    this.stopTokens = root.list('stop_tokens').map(readStopTokens);
    this.presets = Preset.readAll(root, file);
    this.detail = readDetail(root, this.presets);
    this.defaults = { caption: readLength(caption), ask: readLength(question), chat: readLength(conversation) };
    for (const reader of [caption, question, conversation, cleanUp, root]) reader.refuseUnknownKeys();
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

  /** A description: `prompt` is the text to continue or, for families that take instructions, the instruction. */
  caption(prompt: string = this.#defaultPrompt): Prompt {
    return this.#fill(this.#captionTemplate, { prompt });
  }

  /** One question, without what was said before; in the words of a preset's template where one is given. */
  question(question: string, template: Template = this.#questionTemplate): Prompt {
    return this.#fill(template, { question: this.#taskMark?.put(question) ?? question });
  }

  /** A question after the turns of a conversation, oldest first. */
  conversation(turns: readonly Turn[], question: string): Prompt {
    if (turns.length === 0 && this.#openingTemplate !== undefined) {
      return this.#fill(this.#openingTemplate, { question });
    }
    const spoken = turns.map((turn) => {
      const template = turn.answer === '' ? this.#unansweredTurnTemplate : undefined;
      return shown((template ?? this.#turnTemplate).fill(turn));
    });
    return this.#fill(this.#conversationTemplate, { turns: spoken.join(''), question });
  }

  /** A prompt that is written out already, cut into segments, with `<image>` for the image. */
  ofSegments(segments: readonly string[]): Prompt {
    return this.#toPrompt(segments.map((text) => (text === IMAGE_MARK ? { type: 'image' } : { type: 'text', text })));
  }

  /** The answer a user sees, and the next turn of a conversation repeats, from the decoded text. */
  cleanUp(text: string): string {
    return this.#answerCleanUp.apply(text);
  }

  /** What the answer begins with as far as the text is decoded; see `CleanUp.applyToBeginning`. */
  cleanUpBeginning(text: string): string {
    return this.#answerCleanUp.applyToBeginning(text);
  }

  /** The answer as the reference's evaluation takes it from the decoded text, for comparisons with published numbers. */
  cleanUpGenerated(text: string): string {
    return this.#generatedCleanUp.apply(text);
  }

  #fill(template: Template, values: Readonly<Record<string, string>>): Prompt {
    return this.#toPrompt(template.fill(values));
  }

  #toPrompt(filled: readonly FilledSegment[]): Prompt {
    const texts = filled.filter((segment) => segment.type === 'text');
    const segments = filled.map((segment): PromptSegment => {
      if (segment.type === 'image') return segment;
      const addSpecialTokens =
        this.#specialTokens === 'all' || (this.#specialTokens === 'first' && segment === texts[0]);
      return { ...segment, addSpecialTokens };
    });
    const prompt = { text: shown(filled), segments };
    return this.readsInstruction ? { ...prompt, instruction: shown(texts) } : prompt;
  }
}

/**
 * Reads `prompts/NAME.json` of this package.
 *
 * @throws PackError when there is no such family or its file is not valid.
 */
export async function loadPromptFamily(name: string): Promise<PromptFamily> {
  // The name comes from a pack's model.json, which may be anybody's: it must not lead out of the folder.
  const files = (await readdir(PROMPTS_FOLDER)).filter((entry) => entry.endsWith('.json'));
  const known = files.map((entry) => entry.slice(0, -'.json'.length)).toSorted();
  if (!known.includes(name)) {
    throw new PackError(name, `unknown prompt family; this version of minigpt has ${known.join(', ')}.`);
  }
  const file = join(PROMPTS_FOLDER, `${name}.json`);
  return PromptFamily.parse(await readFile(file, 'utf8'), file);
}

function readLength(reader: ObjectReader): AnswerLength {
  return { maxNewTokens: reader.integer('max_new_tokens'), minNewTokens: reader.integer('min_new_tokens') };
}

function readStopTokens(reader: ObjectReader): string[] {
  const tokens = reader.strings('tokens');
  if (tokens.length === 0) reader.fail('tokens', 'a list of at least one token');
  reader.refuseUnknownKeys();
  return tokens;
}

/** Segments as one text. */
function shown(segments: readonly FilledSegment[]): string {
  return segments.map((segment) => (segment.type === 'image' ? IMAGE_MARK : segment.text)).join('');
}
