/** Builds graphs straight from a fixture's checkpoint into a pack folder, and reads what its golden record holds. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphBuilder } from '../../src/importer/graph/builder.ts';
import { ExternalData } from '../../src/importer/graph/external-data.ts';
import { rename, type NameRule } from '../../src/importer/names/name-rule.ts';
import { SafetensorsFile } from '../../src/importer/read/safetensors.ts';
import type { TensorFile } from '../../src/importer/read/tensor-file.ts';
import { TorchFile } from '../../src/importer/read/torch-file.ts';
import { CheckpointWeights, type OpenTensor } from '../../src/importer/read/weights.ts';
import { readPack, type ImageDeclaration, type ModelDeclaration, type Pack } from '../../src/pack/model-declaration.ts';
import { toFloat32 } from '../../src/tensor/dtype.ts';

const NANO = join(import.meta.dirname, '../../models/nano');

/** Checkpoint files that are open; close them when the pack is written. */
export type OpenWeights = { weights: CheckpointWeights; close: () => Promise<void> };

/** The tensors of checkpoint files under our names; later files win. */
export async function openWeights(paths: readonly string[], rules: readonly NameRule[]): Promise<OpenWeights> {
  const tensors = new Map<string, OpenTensor>();
  const files: TensorFile[] = [];
  for (const path of paths) {
    const file = path.endsWith('.safetensors') ? await SafetensorsFile.open(path) : await TorchFile.open(path);
    files.push(file);
    for (const [name, tensor] of file.tensors) {
      const renamed = rename(name, rules);
      if (renamed !== undefined && 'name' in renamed) tensors.set(renamed.name, { tensor, file });
    }
  }
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  return { weights: new CheckpointWeights(tensors, { where: paths.join(', ') }), close };
}

/**
 * Writes the graphs that `build` makes into a new folder.
 *
 * @param declaration what the pack says of itself beyond the embedded model's declaration
 */
export async function writePack(
  declaration: Partial<ModelDeclaration>,
  build: (graph: (name: string) => GraphBuilder) => void,
): Promise<Pack> {
  const directory = await mkdtemp(join(tmpdir(), 'minigpt-tiny-'));
  const external = new ExternalData();
  const graphs: GraphBuilder[] = [];
  build((name) => {
    const graph = new GraphBuilder(name, external, 'fp32');
    graphs.push(graph);
    return graph;
  });
  for (const graph of graphs) await writeFile(join(directory, graph.fileName), graph.encode());
  await external.write(directory, () => {});
  const nano = await readPack(NANO);
  // The sizes of nano's language model say nothing of these graphs.
  return { ...nano, directory, declaration: { ...nano.declaration, language: undefined, ...declaration } };
}

/** Images of a tiny model; its tests begin with pixel values, so only the size counts. */
export function squareOf(imageSize: number): ImageDeclaration {
  return { imageSize, rescaleFactor: 1 / 255, imageMean: [0, 0, 0], imageStd: [1, 1, 1] };
}

/** All tensors of a safetensors file as float32. */
export async function readTensors(path: string): Promise<(name: string) => Float32Array> {
  const file = await SafetensorsFile.open(path);
  const tensors = new Map<string, Float32Array>();
  for (const [name, tensor] of file.tensors) {
    if (tensor.dtype.includes('F')) tensors.set(name, toFloat32(await file.read(tensor), tensor.dtype));
  }
  await file.close();
  return (name) => {
    const values = tensors.get(name);
    if (values === undefined) throw new Error(`${path} holds no ${name}`);
    return values;
  };
}

/** The largest difference of two tensors, element by element; Infinity where their sizes differ, NaN where a number is none. */
export function largestDifference(received: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (received.length !== expected.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < expected.length; i++)
    largest = Math.max(largest, Math.abs((received[i] as number) - (expected[i] as number)));
  return largest;
}

/** Cuts a tensor into `count` parts along its first axis. */
export function rowsOf(tensor: Float32Array, count: number): Float32Array[] {
  const length = tensor.length / count;
  return Array.from({ length: count }, (_, row) => tensor.slice(row * length, (row + 1) * length));
}
