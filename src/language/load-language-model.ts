/** From a pack to its language model, of whichever kind it is. */
import { PackError } from '../errors.ts';
import type { Pack } from '../pack/model-declaration.ts';
import type { Compute } from '../runtime/compute.ts';
import { Decoder } from './decoder.ts';
import { EncoderDecoder } from './encoder-decoder.ts';
import type { LanguageModel } from './language-model.ts';

/**
 * Loads the graphs of a pack's language model. Dispose of it, or its native memory stays.
 *
 * @param threads that share one run
 * @throws PackError when the pack has no language model, or a graph is missing, damaged or of another kind than it should be.
 */
export async function loadLanguageModel(pack: Pack, compute: Compute): Promise<LanguageModel> {
  const { directory, declaration } = pack;
  const { language } = declaration;
  if (language === undefined) {
    throw new PackError(
      directory,
      'this pack only matches images with texts. It has no language model, so it cannot write text.',
    );
  }
  return language.kind === 'encoder-decoder'
    ? EncoderDecoder.load(directory, language, compute)
    : Decoder.load(directory, language, compute);
}
