/** What passes between the main thread and the threads that encode pieces of weights. */
import { CheckpointError, type CheckpointFault } from '../../errors.ts';
import type { Dtype } from '../../tensor/dtype.ts';
import type { FileStretch } from '../read/weight.ts';
import type { EncodedPiece, EncodedTensor } from './encoding.ts';
import type { WeightStorage } from './weight-storage.ts';

/** A piece to be encoded. Its values come along where they are not simply somewhere in a file. */
export type EncodeRequest = {
  type: 'encode';
  id: number;
  tensor: EncodedTensor;
  storage: WeightStorage;
  source: { dtype: Dtype; stretches: readonly FileStretch[] } | { values: Float32Array };
};

export type EncodingRequest = EncodeRequest | { type: 'close' };

/** Classes do not cross threads, so a refusal is what it is made of. */
export type Refusal = { path: string; message: string; fault: CheckpointFault | undefined };

export type EncodingAnswer = { id: number } & (
  | { type: 'encoded'; pieces: readonly EncodedPiece[] }
  | { type: 'refused'; refusal: Refusal }
  /** A mistake of the program. */
  | { type: 'failed'; error: unknown }
);

export function refusalOf({ path, message, fault }: CheckpointError): Refusal {
  return { path, message: message.slice(`${path}: `.length), fault };
}

export function errorOf({ path, message, fault }: Refusal): CheckpointError {
  return new CheckpointError(path, message, fault === undefined ? {} : { fault });
}
