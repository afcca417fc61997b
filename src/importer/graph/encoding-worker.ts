/** Entry of a thread that encodes: reads one piece after the other from the checkpoint, and answers with the encoded bytes. */
import { serve } from '../../threads/serve.ts';
import { StretchReader } from '../read/stretch-reader.ts';
import type { EncodedPiece } from './encoding.ts';
import type { EncodeRequest } from './encoding-messages.ts';
import { encodings } from './weight-storage.ts';

serve<undefined, EncodeRequest, readonly EncodedPiece[]>(
  async () => {
    const reader = new StretchReader();
    return {
      answer: async ({ tensor, storage, source }) => {
        const values = 'values' in source ? source.values : await reader.read(source.stretches, source.dtype);
        return encodings[storage].encode(values, tensor);
      },
      close: async () => reader.close(),
    };
  },
  {
    // Several pieces may lie in one buffer.
    buffersOf: (pieces) => [...new Set(pieces.map(({ bytes }) => bytes.buffer))],
    // The next piece is read into the same memory, unless that was given away.
    oneByOne: true,
  },
);
