/** What stands between the image encoder and the language model, as model.json names it under `bridge`. */

/**
 * - `queries`: a Q-Former, whose queries look at the image
 * - `instruction`: a Q-Former that reads the instruction too, so that image tokens belong to an image and a prompt
 * - `matching`: a Q-Former with heads that compare images and texts, and no language model behind it
 * - `patches`: no Q-Former; four neighbouring patches are joined to an image token
 */
export const BRIDGES = ['queries', 'instruction', 'matching', 'patches'] as const;
export type Bridge = (typeof BRIDGES)[number];

/** Weights and biases of the linear layers that join patches: one layer, or two in a row. The smallest Q-Former has more. */
const MOST_WEIGHTS_OF_PATCHES = 4;

/**
 * The bridge of a pack whose model.json names none, by what else it says: whether an instruction is read, which matching heads there are,
 * and how many weights lie in the bridge's file.
 */
export function impliedBridge(
  readsInstruction: boolean,
  pack: { matching: readonly string[]; storage: readonly { path: string; weights: number }[] },
): Bridge {
  if (readsInstruction) return 'instruction';
  if (pack.matching.length > 0) return 'matching';
  const ofBridge = pack.storage.filter(({ path }) => path === 'qformer.onnx.data');
  const weights = ofBridge.reduce((sum, share) => sum + share.weights, 0);
  return weights > 0 && weights <= MOST_WEIGHTS_OF_PATCHES ? 'patches' : 'queries';
}
