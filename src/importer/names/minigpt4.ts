/**
 * MiniGPT-4, MiniGPT-v2 and TinyGPT-V: what their training saved. PEFT wraps an adapted language model once more, and
 * newer versions of it name the adapter.
 */
import { lavisNames } from './lavis.ts';
import { rename, type NameRule, type Renamed } from './name-rule.ts';

const MINIGPT4_NAMES: readonly NameRule[] = [
  { pattern: /\.rotary_emb\.inv_freq$/, unneeded: 'a buffer of rotary frequencies' },
  { pattern: /^llama_proj\./, name: 'language_projection.' },
  { pattern: /^llama_proj2\./, name: 'language_projection2.' },
  { pattern: /^llama_model\.(?:base_model\.model\.)?/, name: 'language_model.' },
  ...lavisNames(),
];

/** What the rules of these projects' files, and of the LAVIS files they build on, make of a name. */
export function renameMinigpt4(name: string): Renamed | undefined {
  return rename(name.replace(/\.(lora_[AB])\.default\./, '.$1.').replace('.base_layer.', '.'), MINIGPT4_NAMES);
}
