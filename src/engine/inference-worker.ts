/** Entry of the inference thread: loads the model, then answers requests until it is told to close. Every ONNX session lives here. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadLanguageModel } from '../language/load-language-model.ts';
import { ImageEncoder } from '../vision/image-encoder.ts';
import { InferenceLoop } from './inference-loop.ts';
import type { FromWorker, ToWorker, WorkerStart } from './inference-messages.ts';

const port = parentPort;
if (port === null) throw new Error('inference-worker.js runs as a worker thread only');

const send = (message: FromWorker): void => port.postMessage(message);

async function serve({ pack, threads, batchSize, groupSize }: WorkerStart): Promise<void> {
  const encoder = await ImageEncoder.load(pack, threads);
  const language = await loadLanguageModel(pack, threads).catch(async (error: unknown) => {
    await encoder.dispose();
    throw error;
  });
  const loop = new InferenceLoop(encoder, language, { batchSize, groupSize }, ({ id, results }) =>
    send({ type: 'answered', id, results }),
  );
  port?.on('message', (message: ToWorker) => {
    if (message.type === 'answer') loop.add(message);
    else void close();
  });
  const close = async (): Promise<void> => {
    await loop.close();
    await encoder.dispose();
    await language.dispose();
    send({ type: 'closed' });
    port?.close();
  };
  send({ type: 'ready' });
}

serve(workerData as WorkerStart).catch((error: unknown) => {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  send({ type: 'failed', message, stack });
  port.close();
});
