/** Runs a pack on the inputs of a golden record and compares every stage, so that a difference names its stage. */
import { UsageError } from '../../errors.ts';
import { loadLanguageModel } from '../../language/load-language-model.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import type { Compute } from '../../runtime/compute.ts';
import { ImageEncoder } from '../../vision/image-encoder.ts';
import type { Golden } from './record.ts';
import { checkCases, checkConversations, countNotRun } from './cases.ts';
import { checkMatching } from './matching.ts';
import { checkConversationPrompts, checkPrompts } from './prompts.ts';
import type { GoldenReport } from './report.ts';
import { checkProbes, checkVision, imageTokensByPrompt, paddedRows, pixelValuesOf } from './stages.ts';
import { ModelTexts } from '../texts/model-texts.ts';

/**
 * @param tolerance replaces the record's own tolerances (`--atol`)
 * @throws PackError when the pack cannot be loaded; UsageError when the record is of another model.
 */
export async function checkGolden(
  pack: Pack,
  golden: Golden,
  compute: Compute,
  tolerance?: number,
): Promise<GoldenReport> {
  if (pack.declaration.promptFamily === undefined) return checkMatching(pack, golden, compute, tolerance);
  const hidden = tolerance ?? golden.tolerance.hidden;
  const logits = tolerance ?? golden.tolerance.logits;
  const texts = await ModelTexts.load(pack);
  const encoder = await ImageEncoder.load(pack, compute);
  try {
    const language = await loadLanguageModel(pack, compute);
    try {
      const model = { encoder, language };
      await requireSameInputs(pack, golden);
      const vision = await checkVision(model, golden, hidden);
      const imageTokensOf = await imageTokensByPrompt(model, golden);
      const probes = await checkProbes(model, golden, imageTokensOf, { hidden, logits });
      const score = tolerance ?? golden.tolerance.score;
      const padding = await paddedRows(language.declaration.vocabSize, golden);
      const decoding = await checkCases(language, texts, golden, imageTokensOf, score);
      const runs = [
        checkPrompts(golden.prompts, texts),
        checkConversationPrompts(golden.conversations, texts),
        ...decoding.runs,
        ...(await checkConversations(language, texts, golden, imageTokensOf)),
      ];
      return {
        paddedRows: padding,
        // Rows of padding take a share of every probability.
        stages: [...vision, ...probes, padding === 0 ? decoding.scores : undefined].filter(
          (stage) => stage !== undefined,
        ),
        runs: runs.filter(({ checked }) => checked > 0),
        notRun: countNotRun(golden),
      };
    } finally {
      await language.dispose();
    }
  } finally {
    await encoder.dispose();
  }
}

/** @throws UsageError when images or token ids of the record are none of this pack's. */
async function requireSameInputs({ declaration }: Pack, golden: Golden): Promise<void> {
  const { imageSize } = declaration.image;
  const [pixelValues] = await pixelValuesOf(golden);
  const expected = 3 * imageSize ** 2;
  if (pixelValues !== undefined && pixelValues.length !== expected) {
    throw new UsageError(
      `the images of the record have ${pixelValues.length} numbers, but the pack reads ${expected} (3 x ${imageSize} x ${imageSize}). The record is of another model.`,
    );
  }
  const vocabSize = declaration.language?.vocabSize ?? Infinity; // without a language model, no ids are fed
  const ids = [
    ...golden.prompts.flatMap(({ segmentIds }) => segmentIds.flatMap((segment) => segment ?? [])),
    ...golden.probes.flatMap(({ forcedIds }) => forcedIds),
  ];
  const beyond = ids.find((id) => id >= vocabSize);
  if (beyond === undefined) return;
  throw new UsageError(
    `the record has the token id ${beyond}, but the vocabulary of the pack ends at ${vocabSize}. The record is of another model.`,
  );
}
