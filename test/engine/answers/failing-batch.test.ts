/** Whatever fails in a continuous batch, each job has one result, and those that the failure does not concern have their answers. */
import { describe, expect, test } from 'vitest';
import { ContinuousBatch, type GeneratedRow, type Job } from '../../../src/engine/answers/continuous-batch.ts';
import type { GenerationOptions } from '../../../src/engine/model.ts';
import { ImageError } from '../../../src/errors.ts';
import type { LanguageModel, RowCache } from '../../../src/language/language-model.ts';
import { EOS, expectedTokens, fakeDecoder } from '../fake-decoder.ts';

const OPTIONS: GenerationOptions = {
  maxNewTokens: 6,
  minNewTokens: 0,
  repetitionPenalty: 1,
  noRepeatNgram: 0,
  eosTokenIds: [EOS],
  stopSequences: [],
  score: false,
};

/** Token ids of an answer, or the message of its error. */
type Outcome = number[] | string;

/** A batch that keeps every result a job was given. */
class Watched {
  readonly results: Outcome[][] = [];
  readonly batch: ContinuousBatch;

  constructor(language: LanguageModel, rows = 4) {
    this.batch = new ContinuousBatch(language, rows, 24, () => {
      throw new Error('no tokenizer');
    });
  }

  /** Adds a prompt of an image [pixel] and one token, 2. */
  add(pixel: number, changes: Partial<Omit<Job, 'resolve'>> = {}): void {
    const results: Outcome[] = [];
    this.results.push(results);
    this.batch.add({
      imageTokens: Float32Array.of(pixel),
      segments: [null, [2]],
      options: OPTIONS,
      ...changes,
      resolve: (result: GeneratedRow | ImageError) =>
        results.push(result instanceof ImageError ? result.message : result.tokenIds),
    });
  }

  /** What became of each job: it must be one thing. */
  async outcomes(): Promise<Outcome[][]> {
    while (!this.batch.isIdle) await this.batch.advance();
    return this.results;
  }
}

const answerOf = (pixel: number): Outcome[] => [expectedTokens([pixel, 2], 6)];
const failed = (reason: string): Outcome[] => [`the model could not be run on this image: ${reason}`];

describe('the failure is that of the guilty job alone where', () => {
  // Jobs that were taken from the waiting ones and not yet written were lost, and the run hung for ever.
  test('a prompt cannot be embedded', async () => {
    const decoder = fakeDecoder();
    const watched = new Watched({
      ...decoder,
      embedTokens: async (ids) => {
        if (ids.includes(9)) throw new Error('no such token\nat some place');
        return decoder.embedTokens(ids);
      },
    });
    watched.add(1);
    watched.add(3, { segments: [null, [9]] });
    watched.add(5);
    expect(await watched.outcomes()).toEqual([answerOf(1), failed('no such token'), answerOf(5)]);
  });

  // A prefill that failed lost all jobs of its group.
  test('a prompt cannot be read, and it is read alone after its group has failed', async () => {
    const decoder = fakeDecoder();
    const groups: number[] = [];
    const watched = new Watched({
      ...decoder,
      prefill: async (cache, first, rows) => {
        groups.push(rows.length);
        if (rows.some(({ embeds }) => embeds[0] === 3)) throw new Error('out of memory');
        return decoder.prefill(cache, first, rows);
      },
    });
    for (const pixel of [1, 3, 5, 7]) watched.add(pixel);
    expect(await watched.outcomes()).toEqual([answerOf(1), failed('out of memory'), answerOf(5), answerOf(7)]);
    expect(groups).toEqual([4, 1, 1, 1, 1]);
  });

  test('a group fails while others are being written', async () => {
    const decoder = fakeDecoder();
    const watched = new Watched({
      ...decoder,
      prefill: async (cache, first, rows) => {
        if (rows.some(({ embeds }) => embeds[0] === 3)) throw new Error('out of memory');
        return decoder.prefill(cache, first, rows);
      },
    });
    watched.add(1);
    await watched.batch.advance();
    for (const pixel of [4, 3, 5]) watched.add(pixel);
    expect(await watched.outcomes()).toEqual([answerOf(1), answerOf(4), failed('out of memory'), answerOf(5)]);
  });

  test('its image tokens are missing', async () => {
    const watched = new Watched(fakeDecoder());
    watched.add(1, { imageTokens: new Float32Array() });
    watched.add(5);
    expect(await watched.outcomes()).toEqual([failed('the image has no image tokens'), answerOf(5)]);
  });

  test('a chooser cannot choose', async () => {
    const watched = new Watched(fakeDecoder());
    watched.add(1);
    watched.add(3, { options: { ...OPTIONS, stopTexts: ['a'] } });
    watched.add(5);
    expect(await watched.outcomes()).toEqual([answerOf(1), failed('no tokenizer'), answerOf(5)]);
  });

  test('a chooser cannot be made, and the rows behind it move up, those of beams too', async () => {
    const impossible = {
      ...OPTIONS,
      get stopSequences(): never {
        throw new Error('no such option');
      },
    };
    const search = { kind: 'beams', beams: 3, lengthPenalty: 1 } as const;
    const alone = new Watched(fakeDecoder(), 8);
    alone.add(5, { options: { ...OPTIONS, search } });
    alone.add(7, { options: { ...OPTIONS, search: { ...search, beams: 2 } } });
    const [ofFive = [], ofSeven = []] = await alone.outcomes();
    const watched = new Watched(fakeDecoder(), 8);
    watched.add(1, { options: impossible });
    watched.add(2, { options: impossible });
    watched.add(5, { options: { ...OPTIONS, search } });
    watched.add(4);
    watched.add(7, { options: { ...OPTIONS, search: { ...search, beams: 2 } } });
    const reason = failed('no such option');
    expect(await watched.outcomes()).toEqual([reason, reason, ofFive, answerOf(4), ofSeven]);
  });

  test('its beams cannot be moved', async () => {
    const decoder = fakeDecoder();
    const search = { kind: 'beams', beams: 3, lengthPenalty: 1 } as const;
    const watched = new Watched({
      ...decoder,
      newCache: (rows, maxLength) => {
        const cache = decoder.newCache(rows, maxLength);
        const copyPositions = cache.copyPositions.bind(cache);
        cache.copyRow = (from, to, length) => copyPositions(from, to, 0, length);
        cache.copyPositions = () => {
          throw new Error('no such row');
        };
        return cache;
      },
    });
    watched.add(5, { options: { ...OPTIONS, search } });
    expect(await watched.outcomes()).toEqual([failed('no such row')]);
  });
});

test('a cache that a failed reading has spoilt is not used for what comes next', async () => {
  const decoder = fakeDecoder();
  const spoilt = new Set<RowCache>();
  const watched = new Watched(
    {
      ...decoder,
      prefill: async (cache, first, rows) => {
        if (rows.some(({ embeds }) => embeds[0] === 3)) spoilt.add(cache);
        if (spoilt.has(cache)) throw new Error('out of memory');
        return decoder.prefill(cache, first, rows);
      },
    },
    2,
  );
  for (const pixel of [1, 3, 5, 7]) watched.add(pixel);
  expect(await watched.outcomes()).toEqual([answerOf(1), failed('out of memory'), answerOf(5), answerOf(7)]);
});

test('a step that fails ends what is being written, and what waits is answered from a new cache', async () => {
  const decoder = fakeDecoder();
  let caches = 0;
  let failures = 0;
  const watched = new Watched(
    {
      ...decoder,
      newCache: (rows, maxLength) => {
        caches++;
        return decoder.newCache(rows, maxLength);
      },
      step: async (...given) => {
        if (failures++ === 0) throw new Error('out of memory');
        return decoder.step(...given);
      },
    },
    2,
  );
  for (const pixel of [1, 3, 5, 7]) watched.add(pixel);
  const reason = failed('out of memory');
  expect(await watched.outcomes()).toEqual([reason, reason, answerOf(5), answerOf(7)]);
  expect(caches).toBe(2);
});

test('what nobody foresaw is thrown, and the jobs can be rejected then, also those that were just being read', async () => {
  const decoder = fakeDecoder();
  const search = { kind: 'beams', beams: 3, lengthPenalty: 1 } as const;
  const watched = new Watched({
    ...decoder,
    newCache: (rows, maxLength) => {
      const cache = decoder.newCache(rows, maxLength);
      cache.copyRow = () => {
        throw new Error('no such row');
      };
      return cache;
    },
  });
  watched.add(1);
  watched.add(3, { options: { ...OPTIONS, search } });
  watched.add(5);
  await expect(watched.batch.advance()).rejects.toThrow('no such row');
  watched.batch.rejectAll(new ImageError('internal', 'given up'));
  expect(watched.results).toEqual([['given up'], ['given up'], ['given up']]);
  expect(watched.batch.isIdle).toBe(true);
});
