/** What the main thread and the inference thread say to each other. Pixels travel as transferred buffers, never copied. */
import type { ImageErrorCode } from '../../errors.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import type { Compute } from '../../runtime/compute.ts';
import type { GenerationOptions, PromptIds } from '../model.ts';

/** Given to the thread when it starts. */
export type WorkerStart = { pack: Pack; compute: Compute; batchSize: number; groupSize: number };

/** One image with all that is asked about it. */
export type AnswerRequest = {
  id: number;
  /** [3, S, S] */
  pixelValues: Float32Array;
  prompts: readonly PromptIds[];
  options: GenerationOptions;
};

/** An ImageError as plain data: classes do not cross threads. */
export type FailedAnswer = { error: { code: ImageErrorCode; message: string } };
