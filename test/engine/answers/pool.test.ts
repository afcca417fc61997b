/** The pool, with threads that do what a test tells them instead of loading a model. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { InferencePool, type PoolStart } from '../../../src/engine/answers/pool.ts';
import type { AnswerRequest } from '../../../src/engine/answers/messages.ts';
import { ImageError, MinigptError, PackError } from '../../../src/errors.ts';
import { threadScript } from '../../threads/thread-script.ts';

/** What a test and its threads share, in the place of a pack. */
const COPIES = 0;
const GATE = 1;
const CLOSED = 2;

/**
 * A copy has a number, in the order of loading. `load` and `answer` are lines of JavaScript that may use it as `copy`, and `passGate()`, which holds
 * the thread until the test opens the gate.
 */
function script({ load = '', answer = '' }: { load?: string; answer?: string }): URL {
  return threadScript(`
    serve(async ({ pack: memory, compute, groupSize, batchSize }) => {
      const copy = Atomics.add(memory, ${COPIES}, 1) + 1;
      const passGate = () => Atomics.wait(memory, ${GATE}, 0);
      ${load}
      return {
        answer: async (request) => {
          ${answer}
          return [{ tokenIds: [copy, compute.threads, groupSize, batchSize], finishReason: 'stop', score: 0 }];
        },
        close: async () => { Atomics.add(memory, ${CLOSED}, 1); },
      };
    });`);
}

const OPTIONS: AnswerRequest['options'] = {
  maxNewTokens: 1,
  minNewTokens: 0,
  repetitionPenalty: 1,
  noRepeatNgram: 0,
  eosTokenIds: [],
  stopSequences: [],
  score: false,
};

class Harness {
  readonly memory = new Int32Array(new SharedArrayBuffer(16));
  readonly #pool: Promise<InferencePool>;

  constructor(source: Parameters<typeof script>[0], { workers = 2, groupSize = 2 } = {}) {
    // A pack goes to the threads as it is, so it may be what they share with the test.
    const start = { pack: this.memory, batchSize: 4 } as unknown as PoolStart;
    this.#pool = InferencePool.start(start, { workers, threadsPerWorker: 3, groupSize }, script(source));
    this.#pool.catch(() => undefined);
    onTestFinished(async () => {
      this.openGate();
      const pool = await this.#pool.catch(() => undefined);
      await pool?.close();
    });
  }

  async pool(): Promise<InferencePool> {
    return this.#pool;
  }

  get copies(): number {
    return Atomics.load(this.memory, COPIES);
  }

  openGate(): void {
    Atomics.store(this.memory, GATE, 1);
    Atomics.notify(this.memory, GATE);
  }

  /** Asks about so many images at once. @returns which copy answered each, or why none did */
  async ask(images: number): Promise<(number | Error)[]> {
    const pool = await this.#pool;
    const answers = Array.from({ length: images }, async () => {
      try {
        const [result] = await pool.answer({ pixelValues: new Float32Array(3), prompts: [], options: OPTIONS });
        return result instanceof Error ? result : (result?.tokenIds[0] ?? NaN);
      } catch (error) {
        return error as Error;
      }
    });
    return Promise.all(answers);
  }

  /** Waits until so many copies are being loaded, or are. */
  async untilCopies(count: number): Promise<void> {
    while (this.copies < count) await new Promise(setImmediate);
  }
}

describe('a pool', () => {
  test('tells its threads how to compute', async () => {
    const pool = await new Harness({}).pool();
    expect(pool.workers).toBe(2);
    const request = { pixelValues: new Float32Array(3), prompts: [], options: OPTIONS };
    expect(await pool.answer(request)).toMatchObject([{ tokenIds: [1, 3, 2, 4] }]);
    expect(request.pixelValues.byteLength).toBe(0);
  });

  test('loads one copy as long as images do not queue up', async () => {
    const harness = new Harness({});
    for (let image = 0; image < 12; image++) expect(await harness.ask(1)).toEqual([1]);
    expect(harness.copies).toBe(1);
  });

  test('loads another copy when more than two groups wait, and sends groups to the copy with less to do', async () => {
    const harness = new Harness({ answer: 'passGate();' });
    const queued = harness.ask(6);
    await harness.untilCopies(2);
    // The second copy is ready when it has said so: until then everything goes to the first.
    const later: Promise<(number | Error)[]>[] = [];
    while ((await harness.pool()).copies < 2) await new Promise(setImmediate);
    for (let group = 0; group < 3; group++) later.push(harness.ask(2));
    harness.openGate();
    expect(await queued).toEqual([1, 1, 1, 1, 1, 1]);
    expect((await Promise.all(later)).map(([first, second]) => [first, second])).toEqual([
      [2, 2],
      [2, 2],
      [2, 2],
    ]);
    expect(harness.copies).toBe(2);
  });

  test('loads no more copies than planned', async () => {
    const harness = new Harness({ answer: 'passGate();' }, { workers: 2, groupSize: 1 });
    const answers = harness.ask(20);
    const pool = await harness.pool();
    while (pool.copies < 2) await new Promise(setImmediate);
    const later = harness.ask(40);
    harness.openGate();
    expect(await Promise.all([answers, later])).toMatchObject([{ length: 20 }, { length: 40 }]);
    expect(harness.copies).toBe(2);
  });

  test('gives an image’s error as one', async () => {
    const answer = `return [{ error: { kind: 'image', code: 'not-a-number', message: 'nothing usable' } }];`;
    const [error] = await new Harness({ answer }).ask(1);
    expect(error).toBeInstanceOf(ImageError);
    expect(error).toMatchObject({ code: 'not-a-number', message: 'nothing usable' });
  });
});

describe('a pool whose model cannot be loaded', () => {
  test('says why, with the class of the error', async () => {
    const harness = new Harness({ load: `throw new errors.PackError('decoder.onnx', 'is damaged.');` });
    await expect(harness.pool()).rejects.toBeInstanceOf(PackError);
    await expect(harness.pool()).rejects.toThrow('decoder.onnx: is damaged.');
  });

  test('a second time answers what it has, and refuses what comes afterwards with the reason', async () => {
    const load = `if (copy === 2) throw new errors.MinigptError('no memory for a second copy.');`;
    const harness = new Harness({ load, answer: `if (request.pixelValues.length === 3) passGate();` });
    const queued = harness.ask(6);
    await harness.untilCopies(2);
    const refusal = async (): Promise<number | Error | undefined> => (await harness.ask(1))[0];
    harness.openGate();
    expect(await queued).toEqual([1, 1, 1, 1, 1, 1]);
    let refused = await refusal();
    while (!(refused instanceof Error)) refused = await refusal();
    expect(refused.message).toBe('no memory for a second copy.');
    expect(await refusal()).toBe(refused);
  });
});

describe('a pool whose thread dies', () => {
  test.each([0, 7])(
    'with exit code %i while the other lives refuses the images of the dead one, once each',
    async (code) => {
      const answer = `passGate(); if (copy === 1) process.exit(${code});`;
      const harness = new Harness({ answer });
      const queued = harness.ask(6);
      while ((await harness.pool()).copies < 2) await new Promise(setImmediate);
      const ofTheOther = harness.ask(2);
      harness.openGate();
      const message = `the inference thread ended with exit code ${code}. Is there enough memory?`;
      for (const error of await queued) expect(error).toMatchObject({ message });
      expect(await ofTheOther).toEqual([2, 2]);
      const [later] = await harness.ask(1);
      expect(later).toBeInstanceOf(MinigptError);
      expect(later).toMatchObject({ message });
    },
  );

  test('alone refuses what is open and what comes afterwards', async () => {
    const harness = new Harness({
      answer: `setImmediate(() => { throw new Error('a bug'); }); await new Promise(() => {});`,
    });
    const errors = [...(await harness.ask(3)), ...(await harness.ask(2))];
    expect(errors).toHaveLength(5);
    for (const error of errors) expect(error).toMatchObject({ message: 'the inference thread broke down: a bug' });
  });
});

describe('a pool that is closed', () => {
  test('while a second copy is loading refuses what is open, and leaves no thread behind', async () => {
    const harness = new Harness({ load: 'if (copy === 2) passGate();', answer: 'await new Promise(() => {});' });
    const queued = harness.ask(6);
    await harness.untilCopies(2);
    const closed = (await harness.pool()).close();
    harness.openGate();
    await closed;
    for (const error of await queued)
      expect(error).toMatchObject({ message: 'the inference thread was closed before it answered.' });
    expect(Atomics.load(harness.memory, CLOSED)).toBe(2);
  });

  test('while a second copy fails to load ends all the same', async () => {
    const harness = new Harness({
      load: `if (copy === 2) { passGate(); throw new Error('no memory'); }`,
      answer: 'await new Promise(() => {});',
    });
    const queued = harness.ask(6);
    await harness.untilCopies(2);
    const closed = (await harness.pool()).close();
    harness.openGate();
    await closed;
    expect(await queued).toHaveLength(6);
  });
});
