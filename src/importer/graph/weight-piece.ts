/** A weight is encoded in pieces, each by itself, here or in a thread of its own. */
import { PIECE_ELEMENTS, pieceRanges, type ElementRange, type Weight } from '../read/weight.ts';
import type { EncodedPiece } from './encoding.ts';
import { encodings, type WeightStorage } from './weight-storage.ts';

/** Some elements of a weight, and how they shall be stored. */
export type WeightPiece = ElementRange & { weight: Weight; storage: WeightStorage };

export type PieceEncoder = {
  /** Elements that may be in work at once. A single piece may always be, however large. */
  readonly ahead: number;
  /**
   * Reads and encodes a piece.
   *
   * @throws CheckpointError when the file ends early, or a value does not fit its storage.
   */
  encode(piece: WeightPiece): Promise<readonly EncodedPiece[]>;
};

/** A weight in the pieces in which it is encoded. */
export function* piecesOf(weight: Weight, storage: WeightStorage): Generator<WeightPiece> {
  for (const range of pieceRanges(weight.shape, encodings[storage].unit(weight.shape)))
    yield { weight, storage, ...range };
}

/** Encodes in the thread that asks. */
export const encodeHere: PieceEncoder = {
  ahead: PIECE_ELEMENTS,
  encode: async ({ weight, storage, start, count }) =>
    encodings[storage].encode(await weight.read(start, count), weight),
};
