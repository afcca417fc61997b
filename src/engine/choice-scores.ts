/**
 * From the log-probabilities of given answers to the one that is chosen. They are compared by the mean over their tokens, the end of the answer
 * among them: of sums a short answer would win for being short.
 */
import type { JudgedChoices } from '../language/chooser.ts';
import { exponential } from '../tensor/exponential.ts';
import type { TokenizedPrompt } from './model.ts';

/** What a model holds of one of the answers that it was to choose from. */
export type ChoiceScore = {
  /** As it was given. */
  choice: string;
  /** `logProbability` over `tokens`: the choice whose score is greatest is the answer, of equals the first. */
  score: number;
  /** Natural logarithm of the probability that the model answers just this: the sum over its tokens and the end. */
  logProbability: number;
  /** Tokens of the choice and of its end. */
  tokens: number;
  /** Softmax of the scores over the given choices. It compares them, and says nothing of answers that were not given. */
  probability: number;
};

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
