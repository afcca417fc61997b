/** Numbers on the command line: parsers of option values for commander. */
import { InvalidArgumentError } from 'commander';

/** A parser of option values for commander: whole numbers from `least` to `most`, written with digits only. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`It should be a whole number ${range}.`);
  };
}

/**
 * A parser of option values for commander: decimal numbers for which `isAllowed` holds.
 *
 * @param range describes the allowed numbers in the message
 */
export function decimalNumber(range: string, isAllowed: (number: number) => boolean): (value: string) => number {
  return (value) => {
    const number = /^-?(\d+(\.\d*)?|\.\d+)$/.test(value) ? Number(value) : Number.NaN;
    if (isAllowed(number)) return number;
    throw new InvalidArgumentError(`It should be a number ${range}.`);
  };
}
