import type { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CheckpointError, ImageError, MinigptError, PackError } from '../../src/errors.ts';
import { openNativeWork } from '../../src/threads/native-work.ts';
import { Thread } from '../../src/threads/thread.ts';
import { threadScript } from './thread-script.ts';

type Doubling = Thread<number, number, number>;

/** Starts a thread with the given source; `data` is what its entry is given. */
function startThread<Request = number, Answer = number, Notice = number>(
  source: string,
  data?: unknown,
): Thread<Request, Answer, Notice> {
  const thread = new Thread<Request, Answer, Notice>({ script: threadScript(source), name: 'the thread', data });
  onTestFinished(async () => thread.terminate());
  return thread;
}

/** Answers a number with its double and what it was told, in the opposite order of arrival, when three are there. */
const DOUBLING = `
  serve(async (data) => {
    const waiting = [];
    let told = data;
    return {
      answer: async (number) => new Promise((resolve) => {
        waiting.push(() => resolve(2 * number + told));
        if (waiting.length === 3) for (const answer of waiting.splice(0).reverse()) answer();
      }),
      hear: (notice) => { told = notice; },
      close: async () => undefined,
    };
  });`;

/** Does with a request what it says. */
const OBEYING = `
  serve(async () => ({
    answer: async (request) => {
      if (request === 'exit with 0') process.exit(0);
      if (request === 'exit with 9') process.exit(9);
      if (request === 'crash') setImmediate(() => { throw new Error('a bug'); });
      if (request === 'send a function') return () => 1;
      if (request === 'loop') for (;;);
      if (request === 'wait' || request === 'crash') return new Promise(() => undefined);
      return request;
    },
    close: async () => undefined,
  }));`;

describe('a thread that answers', () => {
  test('gives each request its own answer, in whatever order they come', async () => {
    const thread: Doubling = startThread(DOUBLING, 0.5);
    const answers = [1, 2, 3].map(async (number) => thread.request(number));
    expect(thread.openRequests).toBe(3);
    expect(await Promise.all(answers)).toEqual([2.5, 4.5, 6.5]);
    expect(thread.openRequests).toBe(0);
  });

  test('hears what it need not answer before the requests that follow', async () => {
    const thread: Doubling = startThread(DOUBLING, 0);
    thread.tell(0.25);
    expect(await Promise.all([1, 2, 3].map(async (number) => thread.request(number)))).toEqual([2.25, 4.25, 6.25]);
  });

  test('gets buffers and gives them without a copy', async () => {
    const thread = startThread<Float32Array, { values: Float32Array; kept: number }>(`
      let given;
      serve(
        async () => ({
          answer: async (values) => {
            const kept = given?.byteLength;
            given = values;
            return { values, kept };
          },
          close: async () => undefined,
        }),
        { buffersOf: ({ values }) => [values.buffer] },
      );`);
    const pixels = Float32Array.of(1, 2);
    const answer = thread.request(pixels, [pixels.buffer]);
    expect(pixels.byteLength).toBe(0);
    expect((await answer).values).toEqual(Float32Array.of(1, 2));
    expect((await thread.request(new Float32Array(1))).kept).toBe(0);
  });

  // Answers in memory that the next request was read into were overwritten, or given away, before they were sent.
  test('can take a request only when the one before it is answered', async () => {
    const thread = startThread<number, Uint8Array>(`
      let memory = new Uint8Array(2);
      serve(
        async () => ({
          answer: async (number) => {
            if (memory.byteLength === 0) memory = new Uint8Array(2);
            for (const at of [0, 1]) {
              await new Promise(setImmediate);
              memory[at] = number;
            }
            return memory;
          },
          close: async () => undefined,
        }),
        { buffersOf: ({ buffer }) => [buffer], oneByOne: true },
      );`);
    const answers = await Promise.all([1, 2, 3].map(async (number) => thread.request(number)));
    expect(answers).toEqual([Uint8Array.of(1, 1), Uint8Array.of(2, 2), Uint8Array.of(3, 3)]);
  });

  test('refuses a request with an error of the same class and facts, and answers the next', async () => {
    const thread = startThread<string, string>(`
      const made = {
        image: () => new errors.ImageError('not-a-number', 'nothing usable', { cause: new RangeError('why') }),
        pack: () => new errors.PackError('a.onnx', 'is damaged.'),
        checkpoint: () => new errors.CheckpointError('b.bin', 'ends early.', { fault: 'truncated' }),
        usage: () => new errors.UsageError('no.'),
        bug: () => new TypeError('a bug'),
      };
      serve(async () => ({
        answer: async (kind) => {
          if (kind === 'a string') throw 'no error';
          if (kind in made) throw made[kind]();
          return kind;
        },
        close: async () => undefined,
      }));`);
    const refusal = async (kind: string): Promise<unknown> => thread.request(kind).catch((error: unknown) => error);
    const image = await refusal('image');
    expect(image).toBeInstanceOf(ImageError);
    expect(image).toMatchObject({ code: 'not-a-number', message: 'nothing usable', cause: { message: 'why' } });
    expect((image as Error).stack).toContain('data:text/javascript');
    const pack = await refusal('pack');
    expect(pack).toBeInstanceOf(PackError);
    expect(pack).toMatchObject({ path: 'a.onnx', message: 'a.onnx: is damaged.' });
    const checkpoint = await refusal('checkpoint');
    expect(checkpoint).toBeInstanceOf(CheckpointError);
    expect(checkpoint).toMatchObject({ path: 'b.bin', fault: 'truncated', message: 'b.bin: ends early.' });
    expect(await refusal('usage')).toBeInstanceOf(MinigptError);
    const bug = await refusal('bug');
    expect(bug).not.toBeInstanceOf(MinigptError);
    expect(bug).toMatchObject({ name: 'TypeError', message: 'a bug' });
    expect(await refusal('a string')).toMatchObject({ message: 'no error' });
    expect(await thread.request('good')).toBe('good');
  });

  test('refuses a request whose answer cannot be sent, and answers the next', async () => {
    const thread = startThread<string, unknown>(OBEYING);
    await expect(thread.request('send a function')).rejects.toThrow(/could not be cloned/);
    expect(await thread.request('good')).toBe('good');
  });

  test('does not get a request that cannot be sent', async () => {
    const thread = startThread<unknown, unknown>(OBEYING);
    await expect(thread.request(() => 1)).rejects.toThrow(/could not be cloned/);
    expect(thread.openRequests).toBe(0);
    expect(await thread.request('good')).toBe('good');
  });
});

describe('a thread that is closed', () => {
  test('rejects what is open, and everything afterwards; closing it again changes nothing', async () => {
    const thread: Doubling = startThread(DOUBLING, 0);
    const rejected = expect(thread.request(1)).rejects.toThrow('the thread was closed before it answered.');
    await thread.close();
    await rejected;
    await expect(thread.request(2)).rejects.toThrow(MinigptError);
    thread.tell(1);
    await thread.close();
    expect(thread.failure).toBeUndefined();
  });

  test('while it loads loads to its end, and is closed then', async () => {
    const memory = new Int32Array(new SharedArrayBuffer(8));
    const thread = startThread(
      `serve(async (memory) => {
        Atomics.wait(memory, 0, 0);
        return { answer: async () => 1, close: async () => { Atomics.store(memory, 1, 1); } };
      });`,
      memory,
    );
    const rejected = expect(thread.ready).rejects.toThrow('was closed before it answered');
    const closed = thread.close();
    Atomics.store(memory, 0, 1);
    Atomics.notify(memory, 0);
    await closed;
    await rejected;
    expect(memory[1]).toBe(1);
  });

  test('can be ended in the middle of its work', async () => {
    const thread = startThread<string, string>(OBEYING);
    await thread.ready;
    const rejected = expect(thread.request('loop')).rejects.toThrow('was closed before it answered');
    await thread.terminate();
    await rejected;
  });

  test('counts as native work until it is gone', async () => {
    const before = openNativeWork();
    const thread: Doubling = startThread(DOUBLING, 0);
    expect(openNativeWork()).toBe(before + 1);
    await thread.close();
    expect(openNativeWork()).toBe(before);
  });
});

describe('a thread that fails', () => {
  test('by refusing to load says why, to who waits for it and to who asks it', async () => {
    const thread = startThread<string, string>(`serve(async () => { throw new errors.PackError('p', 'is gone.'); });`);
    const asked = expect(thread.request('good')).rejects.toThrow('p: is gone.');
    await expect(thread.ready).rejects.toBeInstanceOf(PackError);
    await asked;
    await expect(thread.request('good')).rejects.toThrow('p: is gone.');
    await thread.close();
  });

  test('by an error that nobody caught rejects what is open', async () => {
    const thread = startThread<string, string>(OBEYING);
    const waiting = expect(thread.request('wait')).rejects.toThrow('the thread broke down: a bug');
    await expect(thread.request('crash')).rejects.toThrow('the thread broke down: a bug');
    await waiting;
    expect(thread.failure?.message).toBe('the thread broke down: a bug');
    await expect(thread.request('good')).rejects.toThrow('the thread broke down: a bug');
  });

  test('while it is loaded is not ready', async () => {
    await expect(startThread(`throw new Error('a bug');`).ready).rejects.toThrow('the thread broke down: a bug');
  });

  test.each([0, 9])('by ending with exit code %i rejects what is open', async (code) => {
    const thread = startThread<string, string>(OBEYING);
    const waiting = expect(thread.request('wait')).rejects.toThrow(MinigptError);
    await expect(thread.request(`exit with ${code}`)).rejects.toThrow(`the thread ended with exit code ${code}.`);
    await waiting;
    await thread.close();
  });

  test('by sending what cannot be read rejects what is open, and is ended', async () => {
    let worker: Worker | undefined;
    process.once('worker', (started: Worker) => (worker = started));
    const thread = startThread<string, string>(OBEYING);
    await thread.ready;
    const waiting = expect(thread.request('wait')).rejects.toThrow(
      'the thread sent what cannot be read: Error: garbled',
    );
    worker?.emit('messageerror', new Error('garbled'));
    await waiting;
    await thread.close();
  });

  test('by being sent what it cannot read rejects what is open', async () => {
    const thread = startThread<string, string>(
      `${OBEYING} setImmediate(() => threads.parentPort.emit('messageerror', new Error('garbled')));`,
    );
    await expect(thread.request('wait')).rejects.toThrow('the thread broke down: garbled');
  });
});
