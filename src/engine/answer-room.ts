/** How much a model has room for behind an image, whatever is asked. */
import type { LanguageDeclaration, ModelDeclaration } from '../pack/model-declaration.ts';

/**
 * Tokens that there is room for behind the image, prompt and answer together. A model with an encoder reads the image there, and writes from the
 * beginning.
 */
export function roomForText(
  language: LanguageDeclaration,
  { numImageTokens }: Pick<ModelDeclaration, 'numImageTokens'>,
): number {
  const { kind, maxPositionEmbeddings } = language;
  return kind === 'encoder-decoder' ? maxPositionEmbeddings : maxPositionEmbeddings - numImageTokens;
}
