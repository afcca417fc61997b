/**
 * Reads protobuf messages field by field, without a schema: what SentencePiece models need of the wire format, and no more.
 *
 * The file is untrusted: every length is checked before use, and a field of another kind than it is asked for is an error.
 * Format: https://protobuf.dev/programming-guides/encoding
 */
import { CheckpointError } from '../../errors.ts';
import { required } from '../../required.ts';

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

/** One field of a message. Fields of a number that may repeat follow each other. */
export class ProtobufField {
  readonly number: number;
  readonly #wireType: number;
  /** A varint's value; the others are in `#bytes`. */
  readonly #integer: number;
  readonly #bytes: Uint8Array;
  readonly #path: string;

  constructor(number: number, wireType: number, integer: number, bytes: Uint8Array, path: string) {
    this.number = number;
    this.#wireType = wireType;
    this.#integer = integer;
    this.#bytes = bytes;
    this.#path = path;
  }

  /** Of int32, enum and bool fields. Beyond 2^53 the value is rounded. */
  integer(): number {
    this.#require(VARINT, 'a whole number');
    return this.#integer;
  }

  float(): number {
    this.#require(FIXED32, 'a float');
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getFloat32(0, true);
  }

  bytes(): Uint8Array {
    this.#require(LENGTH_DELIMITED, 'bytes');
    return this.#bytes;
  }

  text(): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes());
    } catch (cause) {
      if (cause instanceof CheckpointError) throw cause;
      throw new CheckpointError(this.#path, `protobuf field ${this.number} is a text that is not UTF-8.`, { cause });
    }
  }

  message(): Generator<ProtobufField> {
    return readProtobufMessage(this.bytes(), this.#path);
  }

  #require(wireType: number, expected: string): void {
    if (this.#wireType === wireType) return;
    throw new CheckpointError(
      this.#path,
      `protobuf field ${this.number} should be ${expected} but has wire type ${this.#wireType}. It may be another kind of file.`,
    );
  }
}

/**
 * The fields of a message, in the order of the file.
 *
 * @param path The file, for messages.
 * @throws CheckpointError when the bytes are no message or end within a field.
 */
export function* readProtobufMessage(bytes: Uint8Array, path: string): Generator<ProtobufField> {
  let position = 0;
  const take = (length: number): Uint8Array => {
    if (length < 0 || length > bytes.length - position) {
      throw new CheckpointError(
        path,
        `a protobuf field of ${length} bytes begins where ${bytes.length - position} are left. The file is truncated or damaged.`,
        { fault: 'truncated' },
      );
    }
    position += length;
    return bytes.subarray(position - length, position);
  };
  const varint = (): number => {
    let value = 0n;
    for (let index = 0; index < MAX_VARINT_BYTES; index++) {
      const byte = required(take(1)[0], 'a byte');
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      // Negative numbers are written as 64-bit two's complement.
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
    throw new CheckpointError(path, `a protobuf number has more than ${MAX_VARINT_BYTES} bytes. The file is damaged.`);
  };
  while (position < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (number < 1 || ![VARINT, FIXED64, LENGTH_DELIMITED, FIXED32].includes(wireType)) {
      throw new CheckpointError(
        path,
        `there is no protobuf field before byte ${position}. It may be another kind of file.`,
      );
    }
    const integer = wireType === VARINT ? varint() : 0;
    let payload: Uint8Array = new Uint8Array();
    if (wireType === FIXED64) payload = take(8);
    if (wireType === FIXED32) payload = take(4);
    if (wireType === LENGTH_DELIMITED) payload = take(varint());
    yield new ProtobufField(number, wireType, integer, payload, path);
  }
}
