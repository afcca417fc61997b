/** The graph that looks tokens up, the same for everything that writes text. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { Weight } from '../read/weight.ts';

/**
 * Builds `embed_tokens`: input_ids int64 [B, T] -> inputs_embeds [B, T, d].
 *
 * @param tokenEmbeddings [V, d]
 */
export function buildEmbedTokens(g: GraphBuilder, tokenEmbeddings: Weight): void {
  const inputIds = g.input('input_ids', 'int64', ['B', 'T']); // [B, T]
  g.output('inputs_embeds', g.gatherRows(tokenEmbeddings, inputIds)); // [B, T, d]
}
