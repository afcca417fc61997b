/** Copies of the embedded pack whose parts do not belong together: model.json says other sizes than the graphs compute with. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from '../src/importer/graph/generated/onnx_pb.ts';

const NANO = join(import.meta.dirname, '../models/nano');

/** Sizes of the language model in model.json. */
export type Sizes = { hidden_size?: number; num_key_value_heads?: number; head_dim?: number };

/**
 * Makes a pack in `directory`, which must not exist.
 *
 * @param sizes what model.json says instead of the truth
 * @param shapes `open` takes the sizes out of what the graphs say of themselves, so that only running them shows the difference
 */
export function makeMisfitPack(directory: string, sizes: Sizes, shapes: 'stated' | 'open'): void {
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(NANO)) {
    const [from, to] = [join(NANO, name), join(directory, name)];
    if (name === 'model.json') writeFileSync(to, withSizes(readFileSync(from, 'utf8'), sizes));
    else if (name.endsWith('.onnx') && shapes === 'open') writeFileSync(to, withOpenShapes(readFileSync(from)));
    else copyFileSync(from, to);
  }
}

function withSizes(json: string, sizes: Sizes): string {
  const declaration = JSON.parse(json) as { language: object };
  return JSON.stringify({ ...declaration, language: { ...declaration.language, ...sizes } });
}

function withOpenShapes(graph: Uint8Array): Uint8Array {
  const model = fromBinary(ModelProtoSchema, graph);
  for (const { name, type } of [...(model.graph?.input ?? []), ...(model.graph?.output ?? [])]) {
    if (type?.value.case !== 'tensorType') continue;
    for (const [axis, dim] of (type.value.value.shape?.dim ?? []).entries())
      if (dim.value.case === 'dimValue') dim.value = { case: 'dimParam', value: `${name}.${axis}` };
  }
  return toBinary(ModelProtoSchema, model);
}
