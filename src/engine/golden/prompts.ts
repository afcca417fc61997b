/** Whether our templates and tokenizers turn the texts of a golden record into the reference's token ids. */
import type { Prompt } from '../../prompt/prompt-family.ts';
import { required } from '../../required.ts';
import type { GoldenPrompt, GoldenTurn, GoldenConversation } from './record.ts';
import { goldenRun, sameIds, type CaseCheck, type GoldenRun } from './report.ts';
import type { ModelTexts } from '../texts/model-texts.ts';

/** Prompts from their questions where the record names them, else from their segments. */
export function checkPrompts(prompts: readonly GoldenPrompt[], texts: ModelTexts): GoldenRun {
  return goldenRun(
    'prompt ids',
    prompts.map((golden) => checkPrompt(golden, ourPrompt(golden, texts), texts)),
  );
}

/** Prompts of conversations, each from its question and the answers before it. */
export function checkConversationPrompts(conversations: readonly GoldenConversation[], texts: ModelTexts): GoldenRun {
  const checks = conversations.flatMap(({ turns }) =>
    turns.map((turn, index) => {
      const prompt = texts.prompts.conversation(turns.slice(0, index).map(spoken), questionOf(turn));
      return checkPrompt(turn, prompt, texts);
    }),
  );
  return goldenRun('conversation prompt ids', checks);
}

function spoken(turn: GoldenTurn): { question: string; answer: string } {
  return { question: questionOf(turn), answer: turn.answer };
}

function questionOf({ question }: GoldenTurn): string {
  return required(question, 'the question of a recorded turn');
}

function ourPrompt({ question, preset, segments }: GoldenPrompt, texts: ModelTexts): Prompt {
  // A preset has a wording of its own, so only its segments can be compared.
  if (question === undefined || preset !== undefined) return texts.prompts.ofSegments(segments);
  return texts.prompts.conversation([], question);
}

function checkPrompt(golden: GoldenPrompt, prompt: Prompt, texts: ModelTexts): CaseCheck {
  const { segments, instruction } = texts.tokenize(prompt);
  const received = textIds(segments);
  const expected = textIds(golden.segmentIds);
  const ok =
    segments.length === golden.segmentIds.length &&
    segments.every((ids, index) => {
      const reference = golden.segmentIds[index];
      return ids === null || reference === null || reference === undefined
        ? ids === reference
        : sameIds(ids, reference);
    }) &&
    (golden.qformerIds === undefined || (instruction !== undefined && sameIds(instruction, golden.qformerIds)));
  return { image: '', prompt: golden.segments.join(''), expected, received, ok };
}

/** The ids of the text of a prompt, without its images. */
function textIds(segments: readonly (readonly number[] | null)[]): number[] {
  return segments.flatMap((ids) => (ids === null ? [] : ids));
}
