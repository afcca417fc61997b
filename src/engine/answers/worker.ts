/** Entry of the inference thread: loads the model, then answers requests until it is told to close. Every ONNX session lives here. */
import { ImageError } from '../../errors.ts';
import { toPlainError } from '../../threads/plain-error.ts';
import { serve } from '../../threads/serve.ts';
import { loadStages } from '../model-stages.ts';
import { loadTexts } from '../texts/load-texts.ts';
import { InferenceLoop } from './loop.ts';
import type { AnswerRequest, PlainResult, WorkerStart } from './messages.ts';

serve<WorkerStart, AnswerRequest, PlainResult[]>(async ({ pack, compute, batchSize, groupSize }) => {
  const { encoder, language } = await loadStages(pack, compute);
  const loop = new InferenceLoop(encoder, language, { batchSize, groupSize }, async () => loadTexts(pack));
  return {
    answer: async (request) => {
      const results = await loop.answer(request);
      return results.map((result) => (result instanceof ImageError ? { error: toPlainError(result) } : result));
    },
    close: async () => {
      await loop.close();
      await encoder.dispose();
      await language.dispose();
    },
  };
});
