import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Conversation, type AnswerListener } from '../../../src/engine/chat/conversation.ts';
import { generationOptions } from '../../../src/engine/golden/cases.ts';
import { pixelValuesOf } from '../../../src/engine/golden/stages.ts';
import type { Golden } from '../../../src/engine/golden/record.ts';
import { ModelTexts } from '../../../src/engine/texts/model-texts.ts';
import type { GenerationOptions } from '../../../src/engine/model.ts';
import { ImageError } from '../../../src/errors.ts';
import type { LanguageModel } from '../../../src/language/language-model.ts';
import { loadLanguageModel } from '../../../src/language/load-language-model.ts';
import { ImageEncoder } from '../../../src/vision/image-encoder.ts';
import { importTinyPack, SOURCES } from './conversation-packs.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-conversation-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Hears an answer as a user sees it. */
function listener(): AnswerListener & { text: string; pieces: string[]; prompts: string[]; forgotten: number[] } {
  const heard = {
    text: '',
    pieces: [] as string[],
    prompts: [] as string[],
    forgotten: [] as number[],
    onPrompt: (prompt: string, forgottenTurns: number) => {
      heard.prompts.push(prompt);
      heard.forgotten.push(forgottenTurns);
    },
    onText: ({ text, replaces }: { text: string; replaces: boolean }) => {
      heard.pieces.push(text);
      heard.text = replaces ? text : heard.text + text;
    },
  };
  return heard;
}

describe.each(Object.keys(SOURCES) as (keyof typeof SOURCES)[])('a conversation with %s', (name) => {
  let golden: Golden;
  let texts: ModelTexts;
  let encoder: ImageEncoder;
  let language: LanguageModel;
  let pixelValues: Float32Array[];

  beforeAll(async () => {
    const imported = await importTinyPack(folder, name);
    golden = imported.golden;
    texts = await ModelTexts.load(imported.pack);
    encoder = await ImageEncoder.load(imported.pack, { threads: 1 });
    language = await loadLanguageModel(imported.pack, { threads: 1 });
    pixelValues = await pixelValuesOf(golden);
  });

  afterAll(async () => {
    await encoder.dispose();
    await language.dispose();
  });

  function options(changes: Partial<GenerationOptions> = {}): GenerationOptions {
    return {
      maxNewTokens: 12,
      minNewTokens: 0,
      repetitionPenalty: 1,
      noRepeatNgram: 0,
      eosTokenIds: language.declaration.eosTokenIds,
      stopSequences: texts.stopSequences,
      bannedFrom: texts.tokenCount,
      score: false,
      ...changes,
    };
  }

  async function talk(
    changes: Partial<GenerationOptions> = {},
    model: LanguageModel = language,
  ): Promise<Conversation> {
    const conversation = new Conversation(encoder, model, texts, options(changes));
    await conversation.showImage(pixelValues[0] ?? new Float32Array());
    return conversation;
  }

  const isRecorded = name !== 'OPT' && name !== 'T5';
  test.runIf(isRecorded)('says in every turn what the reference says', async () => {
    expect(golden.conversations.length).toBeGreaterThan(0);
    for (const recorded of golden.conversations) {
      const { image, stopSequences, eosTokenId, turns } = recorded;
      const conversation = new Conversation(
        encoder,
        language,
        texts,
        generationOptions(recorded.options, [eosTokenId], stopSequences),
      );
      await conversation.showImage(pixelValues[image] ?? new Float32Array());
      for (const turn of turns) {
        const heard = listener();
        const { text, tokenIds } = await conversation.ask(turn.question ?? '', heard);
        expect(heard.prompts).toEqual([turn.segments.join('')]);
        expect(tokenIds).toEqual(turn.ids);
        expect(text).toBe(turn.answer);
        expect(heard.text).toBe(turn.answer);
      }
    }
  });

  test('says the same with what it keeps between turns as a model that reads every prompt anew', async () => {
    const forgetful = standIn(language, { keeps: false });
    const [keeping, anew] = [await talk(), await talk({}, forgetful)];
    for (const question of ['What is this?', 'Where is it?', 'What color is it?', 'Why?']) {
      const answer = await keeping.ask(question, listener());
      expect(await anew.ask(question, listener())).toEqual(answer);
    }
  });

  test('shows an answer piece by piece, and together the pieces are the answer', async () => {
    const heard = listener();
    const conversation = await talk({ minNewTokens: 6 });
    const { text, tokenIds, finishReason } = await conversation.ask('What is this?', heard);
    expect(heard.text).toBe(text);
    expect(heard.pieces.length).toBeGreaterThan(1);
    expect(tokenIds.length).toBeGreaterThanOrEqual(6);
    expect(['stop', 'length']).toContain(finishReason);
  });

  test('stops at once when it is told to, and keeps what was said as a turn', async () => {
    const conversation = await talk({ minNewTokens: 12 });
    const whole = await (await talk({ minNewTokens: 12 })).ask('What is this?', listener());
    const stop = new AbortController();
    const heard = listener();
    const answer = await conversation.ask(
      'What is this?',
      {
        ...heard,
        onText: (piece) => {
          heard.onText(piece);
          stop.abort();
        },
      },
      stop.signal,
    );
    expect(answer.finishReason).toBe('interrupted');
    expect(answer.tokenIds.length).toBeLessThan(12);
    expect(answer.tokenIds).toEqual(whole.tokenIds.slice(0, answer.tokenIds.length));
    expect(answer.text).toBe(heard.text);
    expect(conversation.turns).toEqual([{ question: 'What is this?', answer: answer.text }]);
  });

  test('forgets a question that was stopped before the first word', async () => {
    const conversation = await talk();
    const answer = await conversation.ask('What is this?', listener(), AbortSignal.abort());
    expect(answer).toEqual({ text: '', tokenIds: [], finishReason: 'interrupted', score: 0 });
    expect(conversation.turns).toEqual([]);
  });

  test('begins anew with another image, and when turns are forgotten', async () => {
    const conversation = await talk();
    const first = await conversation.ask('What is this?', listener());
    await conversation.ask('Where is it?', listener());
    conversation.forgetTurns();
    expect(await conversation.ask('What is this?', listener())).toEqual(first);
    await conversation.showImage(pixelValues[0] ?? new Float32Array());
    expect(conversation.turns).toEqual([]);
    expect(await conversation.ask('What is this?', listener())).toEqual(first);
  });

  test('refuses beams and stop texts, which decide late what was said', () => {
    for (const changes of [
      { stopTexts: ['.'] },
      { search: { kind: 'beams', beams: 3, lengthPenalty: 1, earlyStopping: false } },
    ] as Partial<GenerationOptions>[]) {
      expect(() => new Conversation(encoder, language, texts, options(changes))).toThrow(RangeError);
    }
  });

  describe('that becomes longer than the model reads', () => {
    test('forgets the oldest turns and keeps the image and the system text', async () => {
      const conversation = await talk({ maxNewTokens: 10 }, standIn(language, { positions: 160 }));
      const heard = listener();
      for (let turn = 0; turn < 14; turn++) await conversation.ask(`What is number ${turn}?`, heard);
      const forgotten = heard.forgotten.reduce((sum, count) => sum + count, 0);
      expect(forgotten).toBeGreaterThan(0);
      expect(forgotten + conversation.turns.length).toBe(14);
      const last = heard.prompts.at(-1) ?? '';
      expect(last).toContain('What is number 13?');
      expect(last).not.toContain('What is number 0?');
      expect(last).toContain('<image>');
      const alone = texts.prompts.conversation([{ question: '', answer: 'x' }], '').text;
      expect(last.slice(0, last.indexOf('<image>'))).toBe(alone.slice(0, alone.indexOf('<image>')));
      expect(conversation.turns.at(-1)?.question).toBe('What is number 13?');
    });

    test('refuses a question that leaves no room by itself, and goes on with the next', async () => {
      const conversation = await talk({ maxNewTokens: 10 }, standIn(language, { positions: 120 }));
      await conversation.ask('What is this?', listener());
      const before = conversation.turns;
      const error = await conversation.ask('why '.repeat(200), listener()).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ImageError);
      expect(error).toMatchObject({ code: 'prompt-too-long' });
      expect(conversation.turns).toEqual(before);
      expect((await conversation.ask('Where?', listener())).tokenIds.length).toBeGreaterThan(0);
    });
  });
});

/** The same model with room for fewer positions, or one that cannot go on from the beginning of a prompt. */
function standIn(
  language: LanguageModel,
  { positions = language.declaration.maxPositionEmbeddings, keeps = true }: { positions?: number; keeps?: boolean },
): LanguageModel {
  const extend: LanguageModel['extend'] = async (cache, row, rest, pastLength) =>
    (await language.extend?.(cache, row, rest, pastLength)) ?? new Float32Array();
  return {
    declaration: { ...language.declaration, maxPositionEmbeddings: positions },
    embedTokens: async (ids) => language.embedTokens(ids),
    newCache: (rows, maxLength) => language.newCache(rows, maxLength),
    positionsNeeded: (promptLength, maxNewTokens) => language.positionsNeeded(promptLength, maxNewTokens),
    room: (promptLength, maxLength) => language.room(promptLength, maxLength),
    prefill: async (cache, firstRow, rows) => language.prefill(cache, firstRow, rows),
    ...(keeps && 'extend' in language ? { extend } : {}),
    step: async (cache, tokenIds, pastLengths) => language.step(cache, tokenIds, pastLengths),
    dispose: async () => undefined,
  };
}
