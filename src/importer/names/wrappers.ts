/**
 * What libraries put around a module leaves its mark in the names of tensors: PyTorch's data parallelism, compilation and sharding, activation
 * checkpoints, and PEFT. The marks may stand in front, inside a name, and several in a row; the model's own names have none of them.
 */
const WRAPPERS =
  /(^|\.)(?:(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|base_model\.model)\.)+(?=.)/g;

/** A tensor's name without the marks of what was around its module. */
export function unwrapped(name: string): string {
  return name.replaceAll(WRAPPERS, '$1');
}
