import { describe, expect, test } from 'vitest';
import type { ChatReply } from '../../../src/engine/chat/messages.ts';
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

function make(): { conversation: FakeConversation; service: ChatService; replies: ChatReply[] } {
  const conversation = new FakeConversation();
  const replies: ChatReply[] = [];
  return { conversation, service: new ChatService(conversation, (reply) => replies.push(reply)), replies };
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

const piece = (text: string) => ({ text, replaces: false });

describe('a conversation behind a port', () => {
  test('answers each request once, with everything that happened since the last one', async () => {
    const { conversation, service, replies } = make();
    service.add({ type: 'ask', id: 0, question: 'What?' });
    expect(replies).toEqual([]);
    conversation.listener?.onPrompt('<image>What?', 1);
    expect(replies).toEqual([{ id: 0, events: [{ type: 'prompt', prompt: '<image>What?', forgottenTurns: 1 }] }]);
    conversation.listener?.onText(piece('a'));
    conversation.listener?.onText(piece(' dog'));
    expect(replies).toHaveLength(1);
    service.add({ type: 'next', id: 1 });
    expect(replies[1]).toEqual({
      id: 1,
      events: [
        { type: 'text', piece: piece('a') },
        { type: 'text', piece: piece(' dog') },
      ],
    });
    service.add({ type: 'next', id: 2 });
    conversation.finish(ANSWER);
    await settled();
    expect(replies[2]).toEqual({ id: 2, events: [{ type: 'answered', answer: ANSWER }] });
    expect(replies).toHaveLength(3);
  });

  test('stops the answer that is being written, and not the next', async () => {
    const { conversation, service, replies } = make();
    service.add({ type: 'ask', id: 0, question: 'What?' });
    service.add({ type: 'stop' });
    await settled();
    expect(replies[0]?.events).toEqual([{ type: 'answered', answer: { ...ANSWER, finishReason: 'interrupted' } }]);
    service.add({ type: 'ask', id: 1, question: 'Who?' });
    await settled();
    expect(replies).toHaveLength(1);
    conversation.finish(ANSWER);
    await settled();
    expect(replies[1]?.events).toEqual([{ type: 'answered', answer: ANSWER }]);
  });

  test('tells of a failure with its code, and of one that nobody foresaw as internal', async () => {
    const { conversation, service, replies } = make();
    service.add({ type: 'ask', id: 0, question: 'What?' });
    conversation.fail(new ImageError('prompt-too-long', 'too long.'));
    await settled();
    service.add({ type: 'image', id: 1, pixelValues: new Float32Array() });
    await settled();
    expect(replies).toEqual([
      { id: 0, events: [{ type: 'failed', code: 'prompt-too-long', message: 'too long.' }] },
      { id: 1, events: [{ type: 'failed', code: 'internal', message: 'the model could not be run: no memory' }] },
    ]);
  });

  test('replies to an image and to forgetting when they are done', async () => {
    const { conversation, service, replies } = make();
    service.add({ type: 'image', id: 0, pixelValues: new Float32Array(3) });
    await settled();
    service.add({ type: 'forget', id: 1 });
    expect(replies).toEqual([
      { id: 0, events: [] },
      { id: 1, events: [] },
    ]);
    expect([conversation.images, conversation.forgotten]).toEqual([1, 1]);
  });

  test('stops an answer when it is closed', async () => {
    const { service } = make();
    service.add({ type: 'ask', id: 0, question: 'What?' });
    await expect(service.close()).resolves.toBeUndefined();
  });
});
