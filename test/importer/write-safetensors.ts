/** Writes a small safetensors file for a test. */
import { writeFile } from 'node:fs/promises';

export type TestTensor = { shape: number[]; values: Float32Array };

export async function writeSafetensors(path: string, tensors: Readonly<Record<string, TestTensor>>): Promise<void> {
  const header: Record<string, unknown> = {};
  const data: Uint8Array[] = [];
  let end = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + values.byteLength] };
    data.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    end += values.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
  await writeFile(path, Buffer.concat([length, json, ...data]));
}
