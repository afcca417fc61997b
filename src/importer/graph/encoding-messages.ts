/** What passes between the main thread and the threads that encode pieces of weights. An answer is the encoded pieces. */
import type { Dtype } from '../../tensor/dtype.ts';
import type { FileStretch } from '../read/weight.ts';
import type { EncodedTensor } from './encoding.ts';
import type { WeightStorage } from './weight-storage.ts';

/** A piece to be encoded. Its values come along where they are not simply somewhere in a file. */
export type EncodeRequest = {
  tensor: EncodedTensor;
  storage: WeightStorage;
  source: { dtype: Dtype; stretches: readonly FileStretch[] } | { values: Float32Array };
};
