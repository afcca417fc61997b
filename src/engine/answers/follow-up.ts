/**
 * Asking again: where a model answered in few words, it is asked to go on, as the next turn of the same conversation about the same image.
 * The inference thread does it by itself, so that the image is encoded once and its tokens never cross threads.
 */
import { cutAtStopText } from '../../language/stop-texts.ts';
import type { GeneratedRow } from './continuous-batch.ts';
import type { FollowUp, TokenizedPrompt, WritingTexts } from '../model.ts';

/** What was written for one prompt: the first answer, and what followed when the model was asked to go on. */
export type GeneratedAnswer = GeneratedRow & { continuation?: GeneratedRow };

/** The texts that follow-ups are made with, and in which stop texts are looked for. */
export type FollowUpTexts = Pick<WritingTexts, 'decode' | 'startDecoding' | 'cleanUp' | 'conversationPrompt'>;

/** Whether the model is asked to go on. */
export function asksAgain(followUp: FollowUp | undefined, answer: GeneratedRow): followUp is FollowUp {
  return followUp !== undefined && answer.tokenIds.length < followUp.belowTokens;
}

/** Generated ids as the text that a user sees. */
export function shownText(
  tokenIds: readonly number[],
  texts: Pick<WritingTexts, 'decode' | 'cleanUp'>,
  stopTexts: readonly string[],
): string {
  return texts.cleanUp(cutAtStopText(texts.decode(tokenIds), stopTexts));
}

/** The request to go on, behind the first question and its answer as a user would see it. */
export function followUpPrompt(
  { question, request }: FollowUp,
  { tokenIds }: GeneratedRow,
  texts: FollowUpTexts,
  stopTexts: readonly string[],
): TokenizedPrompt {
  const answer = shownText(tokenIds, texts, stopTexts);
  return texts.conversationPrompt([{ question, answer }], request);
}

/** The rows of an answer, in the order in which they were written. */
export function partsOf(answer: GeneratedAnswer): GeneratedRow[] {
  return answer.continuation === undefined ? [answer] : [answer, answer.continuation];
}
