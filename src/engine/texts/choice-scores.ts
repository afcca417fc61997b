/**
 * From the log-probabilities of given answers to the one that is chosen. They are compared by the mean over their tokens, the end of the answer
 * among them: of sums a short answer would win for being short.
 */
import type { JudgedChoices } from '../../language/chooser.ts';
import { required } from '../../required.ts';
import { exponential } from '../../tensor/exponential.ts';
import type { ChoiceScore, TokenizedPrompt } from '../model.ts';

/** The answer to a prompt with choices. */
export function chosenAnswer(
  { choices = [], continuations = [] }: TokenizedPrompt,
  { chosen, logProbabilities }: JudgedChoices,
): { text: string; scores: ChoiceScore[] } {
  const judged = choices.map((choice, index) => {
    const logProbability = required(logProbabilities[index], 'the log-probability of a choice');
    const tokens = required(continuations[index], 'the tokens of a choice').length;
    return { choice, score: logProbability / tokens, logProbability, tokens };
  });
  const { choice: text, score: greatest } = required(judged[chosen], 'the choice that was chosen');
  const weighted = judged.map((score) => ({ score, weight: exponential(score.score - greatest) }));
  const sum = weighted.reduce((total, { weight }) => total + weight, 0);
  return { text, scores: weighted.map(({ score, weight }) => ({ ...score, probability: weight / sum })) };
}
