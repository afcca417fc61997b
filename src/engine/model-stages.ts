/** The two halves of a model that writes: what looks at images, and what writes. Which they are depends on the pack alone. */
import type { LanguageModel } from '../language/language-model.ts';
import { loadLanguageModel } from '../language/load-language-model.ts';
import { QFormerDecoder } from '../language/qformer-decoder.ts';
import type { Pack } from '../pack/model-declaration.ts';
import type { Compute } from '../runtime/compute.ts';
import { ImageEncoder } from '../vision/image-encoder.ts';
import { QueryPrefixEncoder } from '../vision/query-prefix.ts';
import type { RequestEncoder } from './answers/loop.ts';
import { writesByQFormer } from './texts/qformer-texts.ts';

export type ModelStages = { encoder: RequestEncoder & { dispose(): Promise<void> }; language: LanguageModel };

/**
 * Loads the graphs of both.
 *
 * @throws PackError when one is missing, damaged or of another kind than it should be, or the pack does not write.
 */
export async function loadStages(pack: Pack, compute: Compute): Promise<ModelStages> {
  const { language, numImageTokens } = pack.declaration;
  const isQFormer = language !== undefined && writesByQFormer(pack.declaration);
  const encoder = isQFormer ? await QueryPrefixEncoder.load(pack, compute) : await ImageEncoder.load(pack, compute);
  try {
    return {
      encoder,
      language: isQFormer
        ? await QFormerDecoder.load(pack.directory, language, numImageTokens, compute)
        : await loadLanguageModel(pack, compute),
    };
  } catch (error) {
    await encoder.dispose();
    throw error;
  }
}
