/**
 * From the log-probabilities of given answers to the one that is chosen. They are compared by the mean over their tokens, the end of the answer
 * among them: of sums a short answer would win for being short.
 */
import type { JudgedChoices } from '../../language/chooser.ts';
import { exponential } from '../../tensor/exponential.ts';
import type { ChoiceScore, TokenizedPrompt } from '../model.ts';

/** The answer to a prompt with choices. */
export function chosenAnswer(
  { choices = [], continuations = [] }: TokenizedPrompt,
  { chosen, logProbabilities }: JudgedChoices,
): { text: string; scores: ChoiceScore[] } {
  const judged = choices.map((choice, index) => {
    const logProbability = logProbabilities[index] ?? NaN;
    const tokens = continuations[index]?.length ?? 0;
    return { choice, score: logProbability / tokens, logProbability, tokens };
  });
  const greatest = judged[chosen]?.score ?? NaN;
  const weights = judged.map(({ score }) => exponential(score - greatest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return {
    text: choices[chosen] ?? '',
    scores: judged.map((score, index) => ({ ...score, probability: (weights[index] ?? NaN) / sum })),
  };
}
