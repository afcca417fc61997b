/**
 * Beam search by the rules of the reference (`BeamSearchScorer` of transformers 4.x, which LAVIS was written for, with early stopping off):
 * filters act on log-probabilities, the best 2k of all continuations are walked in their order, and a beam that ends is kept if it is among the
 * first k of them.
 *
 * A stop sequence or a stop text that a continuation completes counts like an end token. The references have none with beams.
 *
 * k beams, V vocabulary rows.
 */
import { required } from '../required.ts';
import { BestCandidates } from './best-candidates.ts';
import type { Chooser, FinishReason, RowCopy, Written } from './chooser.ts';
import { FinishedBeams } from './finished-beams.ts';
import type { RowLimits } from './generation-state.ts';
import { logSoftmax } from './log-softmax.ts';
import type { StopCheck } from './stop-rule.ts';

export type BeamSearchOptions = {
  kind: 'beams';
  /** How many beams are followed, k. */
  beams: number;
  /** Power of the length by which a sum of log-probabilities is divided. */
  lengthPenalty: number;
  /** By what the future of the beams that go on is judged; `candidates` where it is absent. */
  bound?: BeamBound;
};

/**
 * A search is over when its finished beams are better than the best that can still come. That is estimated from the best of all 2k
 * candidates of a step, those that end among them (transformers up to 4.x, and so LAVIS), or from the best beam that goes on (transformers 5).
 * The first searches longer, and never finds less.
 */
export type BeamBound = 'candidates' | 'open beams';

type Beam = {
  tokenIds: readonly number[];
  /** Sum of log-probabilities; -infinity for a row that only fills its place. */
  sum: number;
  /** Of its history. */
  stops: readonly StopCheck[];
  /** Which of the answer's rows holds its history. */
  row: number;
};

/** A beam that goes on: its history is still where its parent's is. */
type Continued = Omit<Beam, 'row'> & { parent: Beam };

/** Every beam begins with the same prompt, so all but one start so far behind that they count only where one has too few continuations. */
const FAR_BEHIND = -1e9;

export class BeamSearch implements Chooser {
  readonly rows: number;
  length: number;
  copies: readonly RowCopy[] = [];
  nextTokenIds: readonly number[] = [];
  readonly #limits: RowLimits;
  readonly #bound: BeamBound;
  readonly #finished: FinishedBeams;
  /** Best first. */
  #beams: readonly Beam[];

  /** @param promptLength positions of the prompt in the cache */
  constructor(
    promptLength: number,
    limits: RowLimits,
    { beams, lengthPenalty, bound = 'candidates' }: BeamSearchOptions,
  ) {
    this.rows = beams;
    this.length = promptLength;
    this.#limits = limits;
    this.#bound = bound;
    this.#finished = new FinishedBeams(beams, lengthPenalty);
    this.#beams = Array.from({ length: beams }, (_, row) => ({
      tokenIds: [],
      sum: row === 0 ? 0 : FAR_BEHIND,
      stops: limits.stopRules.map((rule) => rule.start()),
      row,
    }));
  }

  advance(logits: Float32Array): FinishReason | 'not-a-number' | undefined {
    const candidates = this.#candidates(logits);
    if (candidates === undefined) return 'not-a-number';
    const open = this.#sort(candidates);
    const tokenCount = this.#tokenCount + 1;
    // Nothing can come where no beam goes on.
    const bestOpen = open[0]?.sum ?? -Infinity;
    const best = this.#bound === 'candidates' && candidates.count > 0 ? candidates.at(0).score : bestOpen;
    const decided = this.#finished.isDecided(this.#finished.rank(best, tokenCount));
    if (!decided && tokenCount >= this.#limits.maxNewTokens) {
      for (const { tokenIds, sum } of open) this.#finished.add(tokenIds, sum, false);
    }
    if (decided || open.length === 0 || tokenCount >= this.#limits.maxNewTokens) return this.#end();
    this.#place(open);
    return undefined;
  }

  get written(): Written {
    const best = this.#finished.best;
    if (best === undefined) throw new RangeError('a beam search has no answer before it has ended');
    return { tokenIds: best.tokenIds, score: best.sum, beamScore: best.score };
  }

  /** Tokens that each beam has. */
  get #tokenCount(): number {
    return required(this.#beams[0], 'the best beam').tokenIds.length;
  }

  /** The best 2k continuations of all beams; undefined when a row's logits cannot be used. */
  #candidates(logits: Float32Array): BestCandidates | undefined {
    const isPrompt = this.#tokenCount === 0;
    const vocabSize = logits.length / (isPrompt ? 1 : this.rows);
    const candidates = new BestCandidates(2 * this.rows);
    for (const [index, { tokenIds, sum, row }] of this.#beams.entries()) {
      if (sum === -Infinity) continue;
      const start = isPrompt ? 0 : row * vocabSize;
      const logProbabilities = logits.subarray(start, start + vocabSize); // [V]
      if (!isPrompt || index === 0) {
        if (!logSoftmax(logProbabilities)) return undefined;
        for (const filter of this.#limits.filters) filter(logProbabilities, tokenIds);
      }
      candidates.add(index, logProbabilities, sum);
    }
    return candidates;
  }

  /** Puts the candidates that end to the finished ones. Returns those that go on, at most k, best first. */
  #sort(candidates: BestCandidates): Continued[] {
    const open: Continued[] = [];
    for (let rank = 0; rank < candidates.count && open.length < this.rows; rank++) {
      const { row: index, tokenId, score: sum } = candidates.at(rank);
      const parent = this.#beams[index] as Beam;
      const tokenIds = [...parent.tokenIds, tokenId];
      const stops = parent.stops.map((stop) => stop.fork());
      if (!this.#hasStopped(tokenId, stops)) open.push({ tokenIds, sum, stops, parent });
      else if (rank < this.rows) this.#finished.add(tokenIds, sum, true);
    }
    return open;
  }

  #hasStopped(tokenId: number, stops: readonly StopCheck[]): boolean {
    return this.#limits.eosTokenIds.includes(tokenId) || stops.some((stop) => stop.add(tokenId));
  }

  #end(): FinishReason | 'not-a-number' {
    const best = this.#finished.best;
    if (best === undefined) return 'not-a-number';
    return best.stopped ? 'stop' : 'length';
  }

  /**
   * Gives each beam a row. The first child of a beam stays in its row; its other children take rows of beams that have none, and only what
   * these rows do not share with the parent has to be copied.
   */
  #place(open: readonly Continued[]): void {
    const before = byRow(this.#beams);
    const after: (Beam | undefined)[] = before.map(() => undefined);
    const homeless: Continued[] = [];
    const placed = new Map<Continued, Beam>();
    const place = (beam: Continued, row: number): void => {
      const { tokenIds, sum, stops } = beam;
      const moved = { tokenIds, sum, stops, row };
      after[row] = moved;
      placed.set(beam, moved);
    };
    for (const beam of open) {
      if (after[beam.parent.row] === undefined) place(beam, beam.parent.row);
      else homeless.push(beam);
    }
    const copies: RowCopy[] = [];
    for (const beam of homeless) {
      const to = after.indexOf(undefined);
      place(beam, to);
      const shared = sharedLength(required(before[to], 'a row without a beam').tokenIds, beam.parent.tokenIds);
      if (shared < beam.parent.tokenIds.length) copies.push({ from: beam.parent.row, to, shared });
    }
    // Only where filters leave fewer continuations than there are beams.
    const idle = before.filter(({ row }) => after[row] === undefined);
    this.#beams = [
      ...open.map((beam) => required(placed.get(beam), 'the row of a beam')),
      ...idle.map(({ tokenIds, stops, row }) => ({ tokenIds: [...tokenIds, 0], sum: -Infinity, stops, row })),
    ];
    this.copies = copies;
    this.nextTokenIds = byRow(this.#beams).map(({ tokenIds }) => required(tokenIds.at(-1), 'the last token of a beam'));
  }
}

function byRow(beams: readonly Beam[]): Beam[] {
  return beams.toSorted((a, b) => a.row - b.row);
}

/** How many tokens two histories have in common from the beginning. */
function sharedLength(a: readonly number[], b: readonly number[]): number {
  const difference = a.findIndex((tokenId, index) => tokenId !== b[index]);
  return difference < 0 ? Math.min(a.length, b.length) : difference;
}
