/** Entry of the inference thread: loads the model, then answers requests until it is told to close. Every ONNX session lives here. */
import { InferenceLoop, type Answered } from './inference-loop.ts';
import type { AnswerRequest, WorkerStart } from './inference-messages.ts';
import { loadTexts } from './load-texts.ts';
import { loadStages } from './model-stages.ts';
import { serve } from './worker-entry.ts';

serve<WorkerStart, AnswerRequest, Answered>(async ({ pack, threads, batchSize, groupSize }, send) => {
  const { encoder, language } = await loadStages(pack, threads);
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
