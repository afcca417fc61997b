/** Numbers on the command line. */
import { InvalidArgumentError } from 'commander';

/** A parser of option values for commander: whole numbers from `least` to `most`, in digits only. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`It should be a whole number ${range}.`);
  };
}
