/** Says that a value must be there. A default in its place would hide a mistake until a user meets it as a wrong answer. */

/**
 * `value`, which is there by construction.
 *
 * @param what names the value for the message, as "the image tokens of prompt 2"
 * @throws RangeError where it is missing: a mistake of the program, or a part that does not belong to the others.
 */
export function required<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new RangeError(`${what} should be there, and is missing`);
  return value;
}
