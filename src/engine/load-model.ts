/** Joins a pack's texts and the inference threads into the `Model` that the pipeline asks. */
import { ImageError, PackError } from '../errors.ts';
import type { LanguageDeclaration, Pack } from '../pack/model-declaration.ts';
import { partsOf, shownText, type GeneratedAnswer } from './answers/follow-up.ts';
import { InferencePool, planPool } from './answers/pool.ts';
import { chosenAnswer } from './texts/choice-scores.ts';
import { refuseLongChoices } from './texts/choice-tokens.ts';
import { loadTexts } from './texts/load-texts.ts';
import type {
  Answer,
  AnswerOptions,
  LoadOptions,
  Model,
  QuestionForm,
  TokenizedPrompt,
  WritingTexts,
} from './model.ts';

/**
 * Loads a model and starts its inference threads. Close the model, or they keep the process alive.
 *
 * @throws PackError when a file of the pack is missing, damaged or of another kind than it should be, or it has no language model.
 */
export async function loadModel(pack: Pack, options: LoadOptions): Promise<Model> {
  const { batchSize } = options;
  const { language } = pack.declaration;
  if (language === undefined)
    throw new PackError(pack.directory, 'this pack has no language model, so it cannot write text.');
  const pool = InferencePool.start({ pack, batchSize }, planPool(pack.declaration, options));
  try {
    return new LoadedModel(pack, language, await loadTexts(pack), await pool, batchSize);
  } catch (error) {
    await pool.then(
      (started) => started.close(),
      () => {},
    );
    throw error;
  }
}

class LoadedModel implements Model {
  readonly pack: Pack;
  readonly imagesInFlight: number;
  readonly #language: LanguageDeclaration;
  readonly #texts: WritingTexts;
  readonly #pool: InferencePool;

  constructor(pack: Pack, language: LanguageDeclaration, texts: WritingTexts, pool: InferencePool, batchSize: number) {
    this.pack = pack;
    this.#language = language;
    this.#texts = texts;
    this.#pool = pool;
    // In each thread: one batch of images being answered, one waiting to be encoded, and one arriving.
    this.imagesInFlight = 3 * batchSize * pool.workers;
  }

  captionPrompt(prompt?: string): TokenizedPrompt {
    return this.#texts.captionPrompt(prompt);
  }

  questionPrompt(question: string, form?: QuestionForm): TokenizedPrompt {
    const prompt = this.#texts.questionPrompt(question, form);
    refuseLongChoices(prompt, this.pack.declaration);
    return prompt;
  }

  async answer(
    pixelValues: Float32Array,
    prompts: readonly TokenizedPrompt[],
    options: AnswerOptions,
  ): Promise<(Answer | ImageError)[]> {
    const results = await this.#pool.answer({
      pixelValues,
      prompts: prompts.map(({ text: _shown, choices: _asGiven, ...ids }) => ids),
      options: {
        ...options,
        eosTokenIds: this.#language.eosTokenIds,
        stopSequences: this.#texts.stopSequences,
        bannedFrom: this.#texts.tokenCount,
      },
    });
    return results.map((result, index) => {
      if (result instanceof ImageError) return result;
      const prompt = prompts[index];
      if (result.choices === undefined || prompt === undefined) return this.#toAnswer(result, options);
      const { tokenIds, finishReason, score } = result;
      const { text, scores } = chosenAnswer(prompt, result.choices);
      return { text, tokenIds, finishReason, scores, ...(options.score ? { score } : {}) };
    });
  }

  #toAnswer(generated: GeneratedAnswer, { stopTexts = [], score: withScore }: AnswerOptions): Answer {
    const parts = partsOf(generated);
    const texts = parts.map(({ tokenIds }) => shownText(tokenIds, this.#texts, stopTexts));
    const score = parts.reduce((sum, part) => sum + part.score, 0);
    const beamScore = parts.reduce((sum, part) => sum + (part.beamScore ?? 0), 0);
    const scores = generated.beamScore === undefined ? { score } : { score, beamScore };
    return {
      text: texts.filter((text) => text !== '').join(' '),
      tokenIds: parts.flatMap(({ tokenIds }) => tokenIds),
      finishReason: parts.at(-1)?.finishReason ?? generated.finishReason,
      ...(withScore ? scores : {}),
    };
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}
