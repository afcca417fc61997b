import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';

function reader(value: unknown): ObjectReader {
  return ObjectReader.parse(JSON.stringify(value), 'x.json');
}

const METHODS = {
  string: (key: string, from: ObjectReader) => from.string(key),
  number: (key: string, from: ObjectReader) => from.number(key),
  integer: (key: string, from: ObjectReader) => from.integer(key),
  boolean: (key: string, from: ObjectReader) => from.boolean(key),
  oneOf: (key: string, from: ObjectReader) => from.oneOf(key, ['a', 'b']),
  triple: (key: string, from: ObjectReader) => from.triple(key),
  strings: (key: string, from: ObjectReader) => from.strings(key),
  object: (key: string, from: ObjectReader) => from.object(key),
  list: (key: string, from: ObjectReader) => from.list(key),
} as const;

describe('a key is read as', () => {
  test.each([
    ['string', 'text'],
    ['string', ''],
    ['number', -1.5],
    ['integer', 0],
    ['boolean', false],
    ['oneOf', 'b'],
    ['triple', [1, 2.5, -3]],
    ['strings', []],
    ['strings', ['a', '']],
  ] as const)('%s: %j', (method, value) => {
    expect(METHODS[method]('key', reader({ key: value }))).toEqual(value);
  });

  test('object and list, whose messages name the way to the key', () => {
    const root = reader({ outer: { list: [{ size: 1 }, { size: 'x' }] } });
    const [first, second] = root.object('outer').list('list');
    expect(first?.integer('size')).toBe(1);
    expect(() => second?.integer('size')).toThrow(
      'x.json: outer.list[1].size should be a whole number of at least 0 but is "x".',
    );
  });
});

describe('refused by name is', () => {
  test.each([
    ['string', 3],
    ['number', '3'],
    ['integer', -1],
    ['integer', 1.5],
    ['integer', 2 ** 53],
    ['boolean', 0],
    ['oneOf', 'c'],
    ['triple', [1, 2]],
    ['triple', [1, 2, 3, 4]],
    ['triple', [1, 2, '3']],
    ['strings', ['a', 1]],
    ['strings', 'a'],
    ['object', []],
    ['object', 'text'],
    ['list', {}],
    ['list', [1]],
  ] as const)('as %s: %j', (method, value) => {
    expect(() => METHODS[method]('key', reader({ key: value }))).toThrow(/^x\.json: key(\[0\])? should be/);
  });

  test.each(Object.keys(METHODS) as (keyof typeof METHODS)[])('a missing %s', (method) => {
    expect(() => METHODS[method]('key', reader({}))).toThrow(/key should be .* but is missing\./);
  });

  test('a key that nobody took', () => {
    const root = reader({ a: 1, inner: { b: 2 } });
    root.integer('a');
    const inner = root.object('inner');
    expect(() => root.refuseUnknownKeys()).not.toThrow();
    expect(() => inner.refuseUnknownKeys()).toThrow('the key inner.b is not known');
  });

  test.each(['', '{', '[]', 'null', '1', '"text"'])('a file that is no JSON object: %j', (text) => {
    expect(() => ObjectReader.parse(text, 'x.json')).toThrow(PackError);
  });
});

test('names of Object.prototype are no keys', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    expect(reader({}).has(name)).toBe(false);
    expect(() => reader({}).object(name)).toThrow(PackError);
  }
});

test('a number too large for JavaScript is refused', () => {
  expect(() => ObjectReader.parse('{"key":1e999}', 'x.json').number('key')).toThrow(PackError);
  expect(() => ObjectReader.parse('{"key":[1e999,0,0]}', 'x.json').triple('key')).toThrow(PackError);
});

test('no value of a key makes anything but a PackError', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...Object.values(METHODS)), (value, method) => {
      try {
        method('key', reader({ key: value }));
      } catch (error) {
        expect(error).toBeInstanceOf(PackError);
      }
    }),
  );
});
