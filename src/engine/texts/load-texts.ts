/** From a pack that writes to its texts, of whichever kind they are. */
import type { Pack } from '../../pack/model-declaration.ts';
import type { WritingTexts } from '../model.ts';
import { ModelTexts } from './model-texts.ts';
import { QFormerTexts, writesByQFormer } from './qformer-texts.ts';

/** @throws PackError when a template or a tokenizer is missing or damaged, or the pack does not write. */
export async function loadTexts(pack: Pack): Promise<WritingTexts> {
  return writesByQFormer(pack.declaration) ? QFormerTexts.load(pack) : ModelTexts.load(pack);
}
