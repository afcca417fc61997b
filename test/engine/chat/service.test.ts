import { describe, expect, test } from 'vitest';
import { ChatService } from '../../../src/engine/chat/service.ts';
import type { AnswerListener, ChatAnswer } from '../../../src/engine/chat/conversation.ts';
import { ImageError } from '../../../src/errors.ts';

const ANSWER: ChatAnswer = { text: 'a dog', tokenIds: [1, 2], finishReason: 'stop', score: 0 };

/** A conversation whose answer a test writes. */
class FakeConversation {
  listener: AnswerListener | undefined;
  finish: (answer: ChatAnswer) => void = () => undefined;
  fail: (error: Error) => void = () => undefined;
  forgotten = 0;
  images = 0;

  async ask(_question: string, listener: AnswerListener, signal?: AbortSignal): Promise<ChatAnswer> {
    this.listener = listener;
    return new Promise((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
      signal?.addEventListener('abort', () => resolve({ ...ANSWER, finishReason: 'interrupted' }));
    });
  }

  forgetTurns(): void {
    this.forgotten++;
  }

  async showImage(pixelValues: Float32Array): Promise<void> {
    if (pixelValues.length === 0) throw new Error('no memory\nand more');
    this.images++;
  }
}

function make(): { conversation: FakeConversation; service: ChatService } {
  const conversation = new FakeConversation();
  return { conversation, service: new ChatService(conversation) };
}

/** Whether a promise is settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const later = new Promise((resolve) => setImmediate(() => resolve('later')));
  return (await Promise.race([promise, later])) !== 'later';
}

const piece = (text: string) => ({ text, replaces: false });

describe('a conversation behind a port', () => {
  test('answers each request once, with everything that happened since the last one', async () => {
    const { conversation, service } = make();
    const asked = service.answer({ type: 'ask', question: 'What?' });
    expect(await isSettled(asked)).toBe(false);
    conversation.listener?.onPrompt('<image>What?', 1);
    expect(await asked).toEqual([{ type: 'prompt', prompt: '<image>What?', forgottenTurns: 1 }]);
    conversation.listener?.onText(piece('a'));
    conversation.listener?.onText(piece(' dog'));
    expect(await service.answer({ type: 'next' })).toEqual([
      { type: 'text', piece: piece('a') },
      { type: 'text', piece: piece(' dog') },
    ]);
    const last = service.answer({ type: 'next' });
    conversation.finish(ANSWER);
    expect(await last).toEqual([{ type: 'answered', answer: ANSWER }]);
  });

  test('stops the answer that is being written, and not the next', async () => {
    const { conversation, service } = make();
    const stopped = service.answer({ type: 'ask', question: 'What?' });
    service.stop();
    expect(await stopped).toEqual([{ type: 'answered', answer: { ...ANSWER, finishReason: 'interrupted' } }]);
    const next = service.answer({ type: 'ask', question: 'Who?' });
    expect(await isSettled(next)).toBe(false);
    conversation.finish(ANSWER);
    expect(await next).toEqual([{ type: 'answered', answer: ANSWER }]);
  });

  test('tells of a failure with its code, and of one that nobody foresaw as internal', async () => {
    const { conversation, service } = make();
    const asked = service.answer({ type: 'ask', question: 'What?' });
    conversation.fail(new ImageError('prompt-too-long', 'too long.'));
    expect(await asked).toMatchObject([
      { type: 'failed', error: { kind: 'image', code: 'prompt-too-long', message: 'too long.' } },
    ]);
    expect(await service.answer({ type: 'image', pixelValues: new Float32Array() })).toMatchObject([
      { type: 'failed', error: { kind: 'image', code: 'internal', message: 'the model could not be run: no memory' } },
    ]);
  });

  test('answers an image and forgetting when they are done', async () => {
    const { conversation, service } = make();
    expect(await service.answer({ type: 'image', pixelValues: new Float32Array(3) })).toEqual([]);
    expect(await service.answer({ type: 'forget' })).toEqual([]);
    expect([conversation.images, conversation.forgotten]).toEqual([1, 1]);
  });

  test('refuses what would be given the events of another request, or wait for ever', async () => {
    const { conversation, service } = make();
    await expect(service.answer({ type: 'next' })).rejects.toThrow('nothing is happening to wait for');
    const asked = service.answer({ type: 'ask', question: 'What?' });
    await expect(service.answer({ type: 'next' })).rejects.toThrow('one request after the other');
    conversation.listener?.onPrompt('<image>What?', 0);
    await asked;
    await expect(service.answer({ type: 'ask', question: 'Who?' })).rejects.toThrow('one request after the other');
    await expect(service.answer({ type: 'forget' })).rejects.toThrow('one request after the other');
    const last = service.answer({ type: 'next' });
    conversation.finish(ANSWER);
    expect(await last).toEqual([{ type: 'answered', answer: ANSWER }]);
  });

  test('stops an answer when it is closed', async () => {
    const { service } = make();
    const asked = service.answer({ type: 'ask', question: 'What?' });
    await service.close();
    expect(await asked).toEqual([{ type: 'answered', answer: { ...ANSWER, finishReason: 'interrupted' } }]);
  });
});
