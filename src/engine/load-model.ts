/** Joins a pack's texts and the inference threads into the `Model` that the pipeline asks. */
import { ImageError, PackError } from '../errors.ts';
import type { JudgedChoices } from '../language/chooser.ts';
import type { LanguageDeclaration, Pack } from '../pack/model-declaration.ts';
import { required } from '../required.ts';
import type { GeneratedRow } from './answers/continuous-batch.ts';
import { partsOf, shownText, type GeneratedAnswer } from './answers/follow-up.ts';
import { InferencePool } from './answers/pool.ts';
import { planPool } from './load-plan.ts';
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
  const starting = InferencePool.start({ pack, batchSize }, planPool(pack.declaration, options));
  // Both are waited for, whichever fails: threads that have started have to be closed.
  const [texts, pool] = await Promise.allSettled([loadTexts(pack), starting]);
  if (pool.status === 'rejected') throw texts.status === 'rejected' ? texts.reason : pool.reason;
  if (texts.status === 'rejected') {
    await pool.value.close();
    throw texts.reason;
  }
  return new LoadedModel(pack, language, texts.value, pool.value, batchSize);
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
    refuseLongChoices(prompt, this.#language, this.pack.declaration);
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
    return prompts.map((prompt, index) => {
      const result = required(results[index], 'the result of a prompt');
      if (result instanceof ImageError) return result;
      return result.choices === undefined
        ? this.#toAnswer(result, options)
        : toChosen(prompt, result, result.choices, options);
    });
  }

  #toAnswer(generated: GeneratedAnswer, { stopTexts = [], score: withScore }: AnswerOptions): Answer {
    const parts = partsOf(generated);
    const { finishReason } = generated.continuation ?? generated;
    const texts = parts.map(({ tokenIds }) => shownText(tokenIds, this.#texts, stopTexts));
    return {
      text: texts.filter((text) => text !== '').join(' '),
      tokenIds: parts.flatMap(({ tokenIds }) => tokenIds),
      finishReason,
      ...(withScore ? scoresOf(parts) : {}),
    };
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}

/** Sums over the parts of an answer; only beams have a score of their own beside that of the tokens. */
function scoresOf(parts: readonly GeneratedRow[]): Pick<Answer, 'score' | 'beamScore'> {
  const score = parts.reduce((sum, part) => sum + part.score, 0);
  const beamScores = parts.flatMap(({ beamScore }) => (beamScore === undefined ? [] : [beamScore]));
  return beamScores.length === 0 ? { score } : { score, beamScore: beamScores.reduce((sum, one) => sum + one, 0) };
}

function toChosen(
  prompt: TokenizedPrompt,
  { tokenIds, finishReason, score }: GeneratedRow,
  judged: JudgedChoices,
  options: AnswerOptions,
): Answer {
  const { text, scores } = chosenAnswer(prompt, judged);
  return { text, tokenIds, finishReason, scores, ...(options.score ? { score } : {}) };
}
