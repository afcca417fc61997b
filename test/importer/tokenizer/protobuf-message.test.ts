import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { readProtobufMessage, type ProtobufField } from '../../../src/importer/tokenizer/protobuf-message.ts';
import { bytesField, integerField, tag } from './write-sentencepiece.ts';

const PATH = 'folder/tokenizer.model';
const read = (bytes: Uint8Array): ProtobufField[] => [...readProtobufMessage(bytes, PATH)];

describe('a protobuf message', () => {
  test('gives back every whole number, negative ones included', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 28 }), fc.integer(), (number, value) => {
        const [field] = read(integerField(number, value));
        expect([field?.number, field?.integer()]).toEqual([number, value]);
      }),
    );
  });

  test('gives back every text, also one that begins with a byte order mark', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const marked = `\uFEFF${text}`;
        expect(read(bytesField(3, Buffer.from(marked)))[0]?.text()).toBe(marked);
      }),
    );
  });

  test('gives its fields in order, and those of messages inside', () => {
    const inner = Buffer.concat([integerField(1, 5), bytesField(2, Buffer.from('x'))]);
    const fields = read(Buffer.concat([bytesField(9, inner), tag(4, 1), Buffer.alloc(8), integerField(2, 0)]));
    expect(fields.map((field) => field.number)).toEqual([9, 4, 2]);
    expect([...(fields[0]?.message() ?? [])].map((field) => field.number)).toEqual([1, 2]);
  });

  test.each([
    ['a group', tag(1, 3), 'no protobuf field'],
    ['field 0', integerField(0, 1), 'no protobuf field'],
    ['a number without an end', Buffer.alloc(11, 0xff), 'more than 10 bytes'],
    ['a negative length', Buffer.concat([tag(1, 2), integerField(1, -1).subarray(1)]), 'a protobuf field of -1 bytes'],
    [
      'a length beyond the end',
      Buffer.from([0x0a, 0xff, 0xff, 0x03]),
      'a protobuf field of 65535 bytes begins where 0',
    ],
  ])('with %s is refused', (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(CheckpointError);
    expect(() => read(bytes)).toThrow(`${PATH}: `);
    expect(() => read(bytes)).toThrow(message);
  });

  test('with a field of another type than it is asked for is refused', () => {
    const [field] = read(integerField(7, 1));
    expect(() => field?.text()).toThrow('protobuf field 7 should be bytes but has wire type 0');
    expect(() => field?.float()).toThrow('protobuf field 7 should be a float');
    expect(() => read(bytesField(8, Buffer.from([0xff])))[0]?.text()).toThrow('field 8 is a text that is not UTF-8');
    expect(() => read(bytesField(8, Buffer.from('x')))[0]?.integer()).toThrow('field 8 should be a whole number');
  });

  test('of any bytes ends, or is refused with a CheckpointError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
    );
  });
});
