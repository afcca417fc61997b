/** Entry of a thread that encodes: reads one piece after the other from the checkpoint, and answers with the encoded bytes. */
import { parentPort } from 'node:worker_threads';
import { CheckpointError } from '../../errors.ts';
import { StretchReader } from '../read/stretch-reader.ts';
import type { EncodedPiece } from './encoding.ts';
import { refusalOf, type EncodeRequest, type EncodingAnswer, type EncodingRequest } from './encoding-messages.ts';
import { encodings } from './weight-storage.ts';

const port = parentPort;
if (port === null) throw new Error('this runs as a worker thread only');

const reader = new StretchReader();

async function encode({ tensor, storage, source }: EncodeRequest): Promise<EncodedPiece[]> {
  const values = 'values' in source ? source.values : await reader.read(source.stretches, source.dtype);
  return encodings[storage].encode(values, tensor);
}

async function close(): Promise<void> {
  await reader.close();
  port?.close();
}

async function answer(request: EncodeRequest): Promise<void> {
  const { id } = request;
  try {
    const pieces = await encode(request);
    const buffers = new Set(pieces.map(({ bytes }) => bytes.buffer).filter((buffer) => buffer instanceof ArrayBuffer));
    port?.postMessage({ type: 'encoded', id, pieces } satisfies EncodingAnswer, [...buffers]);
  } catch (error) {
    const failure: EncodingAnswer =
      error instanceof CheckpointError
        ? { type: 'refused', id, refusal: refusalOf(error) }
        : { type: 'failed', id, error };
    port?.postMessage(failure);
  }
}

/** One piece at a time: they share the memory that is read into. */
let work = Promise.resolve();
port.on('message', (request: EncodingRequest) => {
  work = work.then(async () => (request.type === 'encode' ? answer(request) : close()));
});
