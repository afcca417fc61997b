/** Joins a pack's tokenizer, its prompt family and the inference threads into the `Model` that the pipeline asks. */
import { ImageError } from '../errors.ts';
import type { Pack } from '../pack/model-declaration.ts';
import { loadPromptFamily, type Prompt, type PromptFamily } from '../prompt/prompt-family.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { InferencePool, planPool } from './inference-pool.ts';
import type { Answer, GenerationOptions, LoadOptions, Model, TokenizedPrompt } from './model.ts';

/**
 * Loads a model and starts its inference threads. Close the model, or they keep the process alive.
 *
 * @throws PackError when a file of the pack is missing, damaged or of another kind than it should be.
 */
export async function loadModel(pack: Pack, options: LoadOptions): Promise<Model> {
  const { threads, images, batchSize } = options;
  const pool = InferencePool.start({ pack, batchSize }, planPool(pack.declaration, threads, images));
  try {
    const [tokenizer, prompts] = await Promise.all([
      loadTokenizer(pack.directory),
      loadPromptFamily(pack.declaration.promptFamily),
    ]);
    return new LoadedModel(pack, prompts, tokenizer, await pool, batchSize);
  } catch (error) {
    await pool.then(
      (started) => started.close(),
      () => {},
    );
    throw error;
  }
}

/** Token ids of each text segment of a prompt; null for the image. */
export function tokenizePrompt(prompt: Prompt, tokenizer: Tokenizer): TokenizedPrompt {
  const segments = prompt.segments.map((segment) =>
    segment.type === 'image' ? null : tokenizer.encode(segment.text, { addSpecialTokens: segment.addSpecialTokens }),
  );
  return { text: prompt.text, segments };
}

class LoadedModel implements Model {
  readonly pack: Pack;
  readonly prompts: PromptFamily;
  readonly imagesInFlight: number;
  readonly #tokenizer: Tokenizer;
  readonly #pool: InferencePool;

  constructor(pack: Pack, prompts: PromptFamily, tokenizer: Tokenizer, pool: InferencePool, batchSize: number) {
    this.pack = pack;
    this.prompts = prompts;
    this.#tokenizer = tokenizer;
    this.#pool = pool;
    // In each thread: one batch of images being answered, one waiting to be encoded, and one arriving.
    this.imagesInFlight = 3 * batchSize * pool.workers;
  }

  captionPrompt(prompt?: string): TokenizedPrompt {
    return tokenizePrompt(this.prompts.caption(prompt), this.#tokenizer);
  }

  questionPrompt(question: string): TokenizedPrompt {
    return tokenizePrompt(this.prompts.question(question), this.#tokenizer);
  }

  async answer(
    pixelValues: Float32Array,
    prompts: readonly TokenizedPrompt[],
    options: GenerationOptions,
  ): Promise<(Answer | ImageError)[]> {
    const results = await this.#pool.answer({
      pixelValues,
      prompts: prompts.map((prompt) => prompt.segments),
      options,
    });
    return results.map((result) => {
      if (result instanceof ImageError) return result;
      const { tokenIds, finishReason, score } = result;
      const text = this.prompts.cleanUp(this.#tokenizer.decode(tokenIds));
      return { text, tokenIds, finishReason, ...(options.score ? { score } : {}) };
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}
