/**
 * What the published Hugging Face checkpoints hold beyond the tensors that an architecture takes (spec 2.3, 4.1).
 *
 * The architectures ask for tensors by their Hugging Face names, so this layout needs no table of its own for the rest.
 */

/** Names that may be left over, each with the reason that is shown to the user. */
const EXPECTED_LEFT_OVER: readonly { pattern: RegExp; reason: string }[] = [
  { pattern: /\.position_ids$/, reason: 'a buffer that only counts positions' },
  { pattern: /^language_model\.lm_head\.weight$/, reason: 'the output head, tied to the token embeddings' },
];

/** Why a tensor may be left over, or undefined for a name that nobody expects. */
export function leftOverReason(name: string): string | undefined {
  return EXPECTED_LEFT_OVER.find(({ pattern }) => pattern.test(name))?.reason;
}
