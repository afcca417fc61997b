/** Writes SentencePiece models for tests: any pieces and settings, right or wrong. */

export type WrittenPiece = { text: string | Uint8Array; score?: number; type?: number };

export type WrittenModel = {
  pieces: readonly WrittenPiece[];
  /** Fields of the trainer's settings: their numbers and values. */
  trainer?: readonly (readonly [number, number])[];
  /** Fields of the normalizer's settings. */
  normalizer?: readonly (readonly [number, number | Uint8Array])[];
};

export const NORMAL = 1;
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER_DEFINED = 4;
export const UNUSED = 5;
export const BYTE = 6;

/** Settings of LLaMA: BPE with byte fallback, spaces kept. */
export const LLAMA = {
  trainer: [
    [3, 2],
    [35, 1],
  ],
  normalizer: [[4, 0]],
} as const;

export function writeSentencePiece({ pieces, trainer = [], normalizer = [] }: WrittenModel): Buffer {
  return Buffer.concat([
    ...pieces.map(({ text, score = 0, type = NORMAL }) => {
      const float = Buffer.alloc(4);
      float.writeFloatLE(score);
      const piece = [bytesField(1, Buffer.from(text)), tag(2, 5), float, integerField(3, type)];
      return bytesField(1, Buffer.concat(piece));
    }),
    bytesField(2, Buffer.concat(trainer.map(([number, value]) => integerField(number, value)))),
    bytesField(
      3,
      Buffer.concat(
        normalizer.map(([number, value]) =>
          typeof value === 'number' ? integerField(number, value) : bytesField(number, value),
        ),
      ),
    ),
  ]);
}

export function bytesField(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([tag(number, 2), varint(BigInt(bytes.length)), bytes]);
}

/** Negative values as 64-bit two's complement, as protobuf writes int32. */
export function integerField(number: number, value: number): Buffer {
  return Buffer.concat([tag(number, 0), varint(BigInt.asUintN(64, BigInt(value)))]);
}

export function tag(number: number, wireType: number): Buffer {
  return varint(BigInt(number * 8 + wireType));
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Buffer.from(bytes);
}
