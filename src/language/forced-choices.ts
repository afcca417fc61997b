/**
 * The log-likelihood of given answers: nothing is chosen token by token, every token is forced, and what counts is how likely the model holds it.
 *
 * The prompt is read once, however many answers there are. Their tokens form a tree, in which answers that begin alike share the beginning; each
 * of a few rows walks through its part of the tree, and goes back to where the next answer parts from the last one by giving up the positions
 * behind. So memory is bounded, and no beginning is read twice but where two rows divide the tree.
 */
import { required } from '../required.ts';
import type { Chooser, RowCopy, Written } from './chooser.ts';
import { logSumExp } from './log-softmax.ts';

export type ChoicesOptions = {
  kind: 'choices';
  /** Token ids of each answer with its end: at least one answer, none without tokens. */
  continuations: readonly (readonly number[])[];
};

/** More rows than this save little time (with nano 4 and 16 take as long), and each takes memory for the prompt once more. */
const MOST_ROWS = 8;

/** What a row reads that has finished its walk before the others. Nobody looks at what follows. */
const ANY_TOKEN = 0;

/** Rows that so many answers are judged in. */
export function rowsForChoices(choices: number): number {
  return Math.min(choices, MOST_ROWS);
}

/** A beginning of an answer that has to be read, because the log-probability of what follows is wanted. */
type Visit = {
  /** Its tokens; the last of them is read. */
  beginning: readonly number[];
  /** Answers that go on from here. */
  choices: readonly number[];
};

export class ForcedChoices implements Chooser {
  readonly rows: number;
  readonly copies: readonly RowCopy[] = [];
  length: number;
  readonly #promptLength: number;
  readonly #continuations: readonly (readonly number[])[];
  readonly #logProbabilities: number[];
  /** What each row reads, in this order. */
  readonly #walks: readonly (readonly Visit[])[];
  /** Visits that each row has begun. */
  #begun = 0;

  /** @param promptLength positions of the prompt in the cache */
  constructor(promptLength: number, { continuations }: ChoicesOptions) {
    this.length = promptLength;
    this.#promptLength = promptLength;
    this.#continuations = continuations;
    this.#logProbabilities = continuations.map(() => 0);
    this.#walks = divide(visitsOf(continuations), rowsForChoices(continuations.length));
    this.rows = this.#walks.length;
  }

  advance(logits: Float32Array): 'stop' | 'not-a-number' | undefined {
    const isUsable = this.#begun === 0 ? this.#judgeFirstTokens(logits) : this.#judge(logits);
    if (!isUsable) return 'not-a-number';
    this.#begun++;
    return this.#walks.every((walk) => walk.length < this.#begun) ? 'stop' : undefined;
  }

  /** Positions that each row keeps before the next step: the prompt, and the beginning that it goes on from. */
  get keptLengths(): readonly number[] {
    return this.#visits.map((visit) => this.#promptLength + (visit === undefined ? 0 : visit.beginning.length - 1));
  }

  get nextTokenIds(): readonly number[] {
    return this.#visits.map((visit) => visit?.beginning.at(-1) ?? ANY_TOKEN);
  }

  get written(): Written {
    if (this.#walks.some((walk) => walk.length >= this.#begun))
      throw new RangeError('given answers are not judged before all of their tokens are');
    const logProbabilities = [...this.#logProbabilities];
    const means = this.#continuations.map(({ length }, choice) => this.#sumOf(choice) / length);
    const chosen = means.indexOf(Math.max(...means));
    return { tokenIds: this.#tokensOf(chosen), score: this.#sumOf(chosen), choices: { chosen, logProbabilities } };
  }

  /** What each row reads in this step. */
  get #visits(): (Visit | undefined)[] {
    return this.#walks.map((walk) => walk[this.#begun - 1]);
  }

  /** @param logits after the prompt, [1, V] */
  #judgeFirstTokens(logits: Float32Array): boolean {
    return this.#add(logits, { beginning: [], choices: Array.from(this.#continuations.keys()) });
  }

  /** @param logits [rows, V] */
  #judge(logits: Float32Array): boolean {
    const vocabSize = logits.length / this.rows;
    return this.#visits.every(
      (visit, row) => visit === undefined || this.#add(logits.subarray(row * vocabSize, (row + 1) * vocabSize), visit),
    );
  }

  /**
   * Adds the log-probabilities of what follows a beginning.
   *
   * @param logits after it, [V]
   * @returns false when they cannot be used.
   */
  #add(logits: Float32Array, { beginning, choices }: Visit): boolean {
    if (choices.length === 0) return true;
    const normalizer = logSumExp(logits);
    return choices.every((choice) => {
      const tokenId = required(this.#tokensOf(choice)[beginning.length], 'the next token of an answer');
      // A token that the model has no logit for is impossible: the answer cannot be judged.
      const logit = logits[tokenId] ?? NaN;
      const sum = this.#sumOf(choice) + (logit - normalizer);
      this.#logProbabilities[choice] = sum;
      return Number.isFinite(sum);
    });
  }

  #tokensOf(choice: number): readonly number[] {
    return required(this.#continuations[choice], 'the tokens of an answer');
  }

  /** Of the log-probabilities of its tokens so far. */
  #sumOf(choice: number): number {
    return required(this.#logProbabilities[choice], 'the log-probability of an answer');
  }
}

/** Every beginning of every answer once, each behind the one that it prolongs. The whole answers themselves are not read. */
function visitsOf(continuations: readonly (readonly number[])[]): Visit[] {
  const order = Array.from(continuations.entries()).toSorted(([, a], [, b]) => compare(a, b));
  const visits: (Visit & { choices: number[] })[] = [];
  const path: (Visit & { choices: number[] })[] = [];
  let previous: readonly number[] = [];
  for (const [choice, tokenIds] of order) {
    path.length = Math.min(sharedLength(previous, tokenIds), path.length, tokenIds.length - 1);
    while (path.length < tokenIds.length - 1) {
      const visit = { beginning: tokenIds.slice(0, path.length + 1), choices: [] };
      path.push(visit);
      visits.push(visit);
    }
    for (const visit of path) visit.choices.push(choice);
    previous = tokenIds;
  }
  return visits;
}

/** Divides the visits among rows. A row that begins inside of an answer reads the beginning too, whose log-probabilities another row has taken. */
function divide(visits: readonly Visit[], rows: number): Visit[][] {
  return Array.from({ length: rows }, (_, row) => {
    const own = visits.slice(Math.floor((row * visits.length) / rows), Math.floor(((row + 1) * visits.length) / rows));
    const [first] = own;
    // There may be fewer visits than rows.
    if (first === undefined) return [];
    const before = first.beginning
      .slice(1)
      .map((_token, index) => ({ beginning: first.beginning.slice(0, index + 1), choices: [] }));
    return [...before, ...own];
  });
}

/** Orders answers by their tokens; one that another prolongs comes before it. */
function compare(a: readonly number[], b: readonly number[]): number {
  const shared = sharedLength(a, b);
  return (a[shared] ?? -1) - (b[shared] ?? -1);
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  const difference = a.findIndex((tokenId, index) => tokenId !== b[index]);
  return difference < 0 ? a.length : difference;
}
