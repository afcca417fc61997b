/** What the main thread and the inference thread say to each other. Pixels travel as transferred buffers, never copied. */
import type { Pack } from '../../pack/model-declaration.ts';
import type { Compute } from '../../runtime/compute.ts';
import type { PlainImageError } from '../../threads/plain-error.ts';
import type { GenerationOptions, PromptIds } from '../model.ts';
import type { GeneratedAnswer } from './follow-up.ts';

/** Given to the thread when it starts. */
export type WorkerStart = { pack: Pack; compute: Compute; batchSize: number; groupSize: number };

/** One image with all that is asked about it. */
export type AnswerRequest = {
  /** [3, S, S] */
  pixelValues: Float32Array;
  prompts: readonly PromptIds[];
  options: GenerationOptions;
};

/** What became of one prompt, as plain data. */
export type PlainResult = GeneratedAnswer | { error: PlainImageError };
