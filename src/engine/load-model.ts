/** Joins a pack's texts and the inference threads into the `Model` that the pipeline asks. */
import { ImageError, PackError } from '../errors.ts';
import type { LanguageDeclaration, Pack } from '../pack/model-declaration.ts';
import { InferencePool, planPool } from './inference-pool.ts';
import type { Answer, AnswerOptions, LoadOptions, Model, TokenizedPrompt, WritingTexts } from './model.ts';
import { ModelTexts } from './model-texts.ts';
import { QFormerTexts, writesByQFormer } from './qformer-texts.ts';

/**
 * Loads a model and starts its inference threads. Close the model, or they keep the process alive.
 *
 * @throws PackError when a file of the pack is missing, damaged or of another kind than it should be, or it has no language model.
 */
export async function loadModel(pack: Pack, options: LoadOptions): Promise<Model> {
  const { threads, images, batchSize } = options;
  const { language } = pack.declaration;
  if (language === undefined)
    throw new PackError(pack.directory, 'this pack has no language model, so it cannot write.');
  const pool = InferencePool.start({ pack, batchSize }, planPool(pack.declaration, threads, images));
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

async function loadTexts(pack: Pack): Promise<WritingTexts> {
  return writesByQFormer(pack.declaration) ? QFormerTexts.load(pack) : ModelTexts.load(pack);
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

  questionPrompt(question: string): TokenizedPrompt {
    return this.#texts.questionPrompt(question);
  }

  async answer(
    pixelValues: Float32Array,
    prompts: readonly TokenizedPrompt[],
    options: AnswerOptions,
  ): Promise<(Answer | ImageError)[]> {
    const results = await this.#pool.answer({
      pixelValues,
      prompts: prompts.map(({ segments, instruction }) => ({ segments, instruction })),
      options: {
        ...options,
        repetitionPenalty: 1,
        noRepeatNgram: 0,
        eosTokenIds: this.#language.eosTokenIds,
        stopSequences: this.#texts.stopSequences,
      },
    });
    return results.map((result) => {
      if (result instanceof ImageError) return result;
      const { tokenIds, finishReason, score } = result;
      const text = this.#texts.answer(tokenIds);
      return { text, tokenIds, finishReason, ...(options.score ? { score } : {}) };
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}
