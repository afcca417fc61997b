/** What a comparison with a golden record found. */
import type { StageDifference } from './stage-difference.ts';

export type CaseCheck = {
  image: string;
  prompt: string;
  expected: readonly number[];
  received: readonly number[] | string;
  ok: boolean;
};

/** One way of computing a set of things that must be equal, with those that differ. */
export type GoldenRun = { name: string; checked: number; equal: number; different: CaseCheck[] };

export type GoldenReport = {
  stages: StageDifference[];
  /** Rows of the pack's vocabulary behind those of the record: padding, which is not compared. */
  paddedRows: number;
  runs: GoldenRun[];
  /** Cases with options that this version cannot decode with, by option. */
  notRun: ReadonlyMap<string, number>;
};

/** Counts the checks of a run. */
export function goldenRun(name: string, checks: readonly CaseCheck[]): GoldenRun {
  const different = checks.filter((check) => !check.ok);
  return { name, checked: checks.length, equal: checks.length - different.length, different };
}

export function sameIds(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}
