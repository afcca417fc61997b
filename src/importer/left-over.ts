/** Tensors of the sources that the model does not use: each is known with a reason, or is an error. */
import { CheckpointError } from '../errors.ts';
import type { StoredTensor } from './read/tensor-file.ts';
import type { CheckpointWeights } from './read/weights.ts';
import type { Overlay } from './sources/overlay.ts';

/** A tensor that the model does not use, with the reason. */
export type LeftOverTensor = { name: string; file: string; shape: readonly number[]; reason: string };

/**
 * @param reasonFor why a tensor of this name may be left over; undefined where it may not
 * @throws CheckpointError for a tensor that nobody expects: the model would ignore something that matters.
 */
export function explainLeftOver(
  weights: CheckpointWeights,
  overlay: Overlay,
  reasonFor: (name: string) => string | undefined,
  allowUnused: boolean,
): LeftOverTensor[] {
  const leftOver: LeftOverTensor[] = [];
  const add = ({ name, file, shape }: StoredTensor, reason: string | undefined): void => {
    if (reason === undefined && !allowUnused) {
      const advice = /\.(?:lora_|base_layer\.)/.test(name)
        ? 'It belongs to a model with a LoRA adapter, but there is no adapter_config.json that says how to merge it. Save the adapter with save_pretrained and give its folder, or merge it with merge_and_unload and save the model.'
        : 'The checkpoint may be of another family. Use --allow-unused to leave the tensor out.';
      throw new CheckpointError(
        file,
        `tensor ${name} [${shape.join(', ')}] is not known to this architecture. ${advice}`,
      );
    }
    leftOver.push({ name, file, shape, reason: reason ?? 'unknown, left out as asked' });
  };
  for (const { tensor, reason } of overlay.unneeded) add(tensor, reason);
  for (const [name, tensor] of weights.leftOver) {
    add(tensor, reasonFor(name));
    for (const adaptation of overlay.adaptations.get(name) ?? []) {
      for (const changing of adaptation.tensors) add(changing, reasonFor(name));
    }
  }
  for (const tensor of overlay.unknown) add(tensor, undefined);
  return leftOver;
}
