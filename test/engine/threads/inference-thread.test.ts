import { describe, expect, onTestFinished, test } from 'vitest';
import { InferenceThread } from '../../../src/engine/threads/inference-thread.ts';
import { MinigptError } from '../../../src/errors.ts';

type Doubled = { id: number; doubled: number };

/** Starts a thread with the given source, and what it needs to talk to us as `port` and `data`. */
async function startThread(source: string, data?: unknown): Promise<InferenceThread<Doubled>> {
  const script = `import { parentPort as port, workerData as data } from 'node:worker_threads';\n${source}`;
  const thread = await InferenceThread.start<Doubled>(
    new URL(`data:text/javascript,${encodeURIComponent(script)}`),
    data,
  );
  onTestFinished(async () => thread.close());
  return thread;
}

/** Answers a number with its double, in the opposite order of arrival, when three are there. */
const DOUBLING = `
  const waiting = [];
  port.on('message', (message) => {
    if (message.type === 'close') process.exit(0);
    if ('told' in message) return waiting.push(message);
    waiting.push(message);
    if (waiting.length < 3) return;
    for (const { id, number } of waiting.splice(0).reverse())
      if (id !== undefined) port.postMessage({ type: 'answered', id, doubled: 2 * number + data });
  });
  port.postMessage({ type: 'ready' });`;

describe('a thread that answers', () => {
  test('gives each request its own answer, in whatever order they come', async () => {
    const thread = await startThread(DOUBLING, 0.5);
    const answers = [1, 2, 3].map(async (number) => thread.request({ number }));
    expect(thread.openRequests).toBe(3);
    expect((await Promise.all(answers)).map(({ doubled }) => doubled)).toEqual([2.5, 4.5, 6.5]);
    expect(thread.openRequests).toBe(0);
  });

  test('is told things that it need not answer', async () => {
    const thread = await startThread(DOUBLING, 0);
    thread.tell({ told: true });
    const answers = await Promise.all([5, 6].map(async (number) => thread.request({ number })));
    expect(answers.map(({ doubled }) => doubled)).toEqual([10, 12]);
  });

  test('gets buffers without a copy', async () => {
    const thread = await startThread(DOUBLING, 0);
    const pixels = new Float32Array(4);
    void thread.request({ number: 1, pixels }, [pixels.buffer]).catch(() => undefined);
    expect(pixels.byteLength).toBe(0);
  });

  test('rejects what is open when it is closed, and everything afterwards', async () => {
    const thread = await startThread(DOUBLING, 0);
    const open = thread.request({ number: 1 });
    const rejected = expect(open).rejects.toThrow('the model was closed before it answered.');
    await thread.close();
    await rejected;
    await expect(thread.request({ number: 2 })).rejects.toThrow(MinigptError);
    await thread.close();
  });
});

describe('a thread that fails', () => {
  test('while it loads says why, with its own stack', async () => {
    const starting = startThread(`port.postMessage({ type: 'failed', message: 'no such file', stack: 'at there' });`);
    await expect(starting).rejects.toMatchObject({ name: 'MinigptError', message: 'no such file', stack: 'at there' });
  });

  test('by an error nobody caught', async () => {
    await expect(startThread(`throw new Error('a bug');`)).rejects.toThrow('the inference thread failed: a bug');
  });

  test('by ending rejects what is open', async () => {
    const thread = await startThread(`port.on('message', () => process.exit(9)); port.postMessage({ type: 'ready' });`);
    await expect(thread.request({ number: 1 })).rejects.toThrow('the inference thread ended with exit code 9');
  });
});
