/** Entry of the inference thread: loads the model, then answers requests until it is told to close. Every ONNX session lives here. */
import { InferenceLoop, type Answered } from './loop.ts';
import type { AnswerRequest, WorkerStart } from './messages.ts';
import { loadTexts } from '../texts/load-texts.ts';
import { loadStages } from '../model-stages.ts';
import { serve } from '../threads/worker-entry.ts';

serve<WorkerStart, AnswerRequest, Answered>(async ({ pack, compute, batchSize, groupSize }, send) => {
  const { encoder, language } = await loadStages(pack, compute);
  const loop = new InferenceLoop(encoder, language, { batchSize, groupSize }, send, async () => loadTexts(pack));
  return {
    add: (request) => loop.add(request),
    close: async () => {
      await loop.close();
      await encoder.dispose();
      await language.dispose();
    },
  };
});
