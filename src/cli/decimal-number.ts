/** Numbers with a decimal point on the command line. */
import { InvalidArgumentError } from 'commander';

/** A parser of option values for commander: decimal numbers for which `isAllowed` holds. @param range says which, for the message */
export function decimalNumber(range: string, isAllowed: (number: number) => boolean): (value: string) => number {
  return (value) => {
    const number = /^-?(\d+(\.\d*)?|\.\d+)$/.test(value) ? Number(value) : Number.NaN;
    if (isAllowed(number)) return number;
    throw new InvalidArgumentError(`It should be a number ${range}.`);
  };
}
