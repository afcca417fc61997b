/** The architectures of language models that can be imported. */
import type { LanguageArchitecture } from './language-architecture.ts';
import { LLAMA } from './llama.ts';
import { OPT } from './opt.ts';
import { PHI } from './phi.ts';
import { T5 } from './t5.ts';

export const LANGUAGE_ARCHITECTURES: readonly LanguageArchitecture[] = [OPT, T5, LLAMA, PHI];

/** The architecture that a `model_type` names, undefined where none does. */
export function architectureOf(modelType: string): LanguageArchitecture | undefined {
  return LANGUAGE_ARCHITECTURES.find(({ modelTypes }) => modelTypes.includes(modelType));
}
