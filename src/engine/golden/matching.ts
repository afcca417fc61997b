/** A pack that matches images with texts against a golden record: features, similarities, matching scores, and what it writes by itself. */
import { join } from 'node:path';
import { QFormerDecoder } from '../../language/qformer-decoder.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { required } from '../../required.ts';
import type { Compute } from '../../runtime/compute.ts';
import { loadTokenizer, type Tokenizer } from '../../tokenizer/tokenizer.ts';
import { Matcher, matchProbability, similarity } from '../../vision/matcher.ts';
import { QueryPrefixEncoder } from '../../vision/query-prefix.ts';
import { VisionEncoder } from '../../vision/vision-encoder.ts';
import type { Golden } from './record.ts';
import { checkDecoding, countNotRun, generationOptions, type DecodingCheck, type Wanted } from './cases.ts';
import { goldenRun, sameIds, type GoldenReport, type GoldenRun } from './report.ts';
import { pixelValuesOf } from './stages.ts';
import { QFORMER_START } from '../texts/qformer-texts.ts';
import { compareStage, type StageDifference } from './stage-difference.ts';

/** @param tolerance replaces the record's own tolerances */
export async function checkMatching(
  pack: Pack,
  golden: Golden,
  compute: Compute,
  tolerance?: number,
): Promise<GoldenReport> {
  const tokenizer = await loadTokenizer(join(pack.directory, 'qformer_tokenizer'));
  const stages = await checkScores(pack, golden, compute, {
    hidden: tolerance ?? golden.tolerance.hidden,
    scores: tolerance ?? golden.tolerance.scores,
  });
  const writing = await checkWriting(pack, golden, compute, tokenizer, tolerance ?? golden.tolerance.score);
  return {
    paddedRows: 0,
    stages: [...stages, writing.scores].filter((stage) => stage !== undefined),
    runs: [checkTexts(golden, tokenizer), ...writing.runs],
    notRun: countNotRun(golden),
  };
}

async function checkScores(
  pack: Pack,
  golden: Golden,
  compute: Compute,
  tolerance: { hidden: number; scores: number },
): Promise<StageDifference[]> {
  const visionEncoder = await VisionEncoder.load(pack, compute);
  try {
    const matcher = await Matcher.load(pack, compute);
    try {
      const imageEmbeds = await visionEncoder.embedImages(await pixelValuesOf(golden));
      const texts = golden.texts.map(({ ids }) => ids);
      const { queryOutput, imageFeatures } = await matcher.imageStages(imageEmbeds);
      const ofImages = await matcher.imageFeatures(imageEmbeds);
      const ofTexts = await matcher.textFeatures(texts);
      const pairs = golden.images.flatMap((_, image) => texts.map((ids) => ({ image, ids })));
      const logits = await matcher.matchLogits(
        imageEmbeds,
        pairs.map(({ image }) => image),
        pairs.map(({ ids }) => ids),
      );
      const itc = ofImages.flatMap((image) => ofTexts.map((text) => similarity(image, text)));
      const stage = async (name: string, tensor: string, received: Float32Array, allowed: number) =>
        compareStage(name, [[await golden.tensor(tensor), received]], allowed);
      const { hidden, scores } = tolerance;
      const stages = [
        await stage('vision (image_embeds)', 'image_embeds', imageEmbeds.data, hidden),
        await stage('Q-Former (query_output)', 'query_output', queryOutput, hidden),
        await stage('image features (itc_image)', 'itc_image', imageFeatures, hidden),
        await stage(
          'text features (itc_text)',
          'itc_text',
          Float32Array.from(ofTexts.flatMap((row) => [...row])),
          hidden,
        ),
        await stage('similarity (itc)', 'itc', Float32Array.from(itc), scores),
        await stage('matching (itm_logits)', 'itm_logits', Float32Array.from(logits.flat()), scores),
        await stage('probability (itm)', 'itm_probability', Float32Array.from(logits, matchProbability), scores),
      ];
      return stages.filter((difference) => difference !== undefined);
    } finally {
      await matcher.dispose();
    }
  } finally {
    await visionEncoder.dispose();
  }
}

function checkTexts(golden: Golden, tokenizer: Tokenizer): GoldenRun {
  return goldenRun(
    'text ids',
    golden.texts.map(({ processed, ids }) => {
      const received = tokenizer.encode(processed, { addSpecialTokens: true });
      return { image: '', prompt: processed, expected: ids, received, ok: sameIds(received, ids) };
    }),
  );
}

/** Texts that the Q-Former writes about each image, where the pack has the head for it. */
async function checkWriting(
  pack: Pack,
  golden: Golden,
  compute: Compute,
  tokenizer: Tokenizer,
  tolerance: number,
): Promise<DecodingCheck> {
  const start = tokenizer.tokenId(QFORMER_START);
  const cases = golden.cases.filter(({ prompt, options }) => prompt === undefined && options.others.length === 0);
  const { language, matching, numImageTokens } = pack.declaration;
  if (cases.length === 0 || start === undefined || language === undefined || !matching.includes('itg'))
    return { runs: [], scores: undefined };
  const decoder = await QFormerDecoder.load(pack.directory, language, numImageTokens, compute);
  try {
    const prefixes = await prefixesOf(pack, golden, compute);
    const prompt = {
      question: undefined,
      preset: undefined,
      segments: ['<image>', QFORMER_START],
      segmentIds: [null, [start]],
      qformerIds: undefined,
    };
    const wanted = cases.map(({ image, options, ids, text, finishReason, score }): Wanted => ({
      image,
      prompt,
      options: generationOptions(options, decoder.declaration.eosTokenIds, []),
      ids,
      text,
      finishReason,
      score,
      textOf: (tokenIds) => tokenizer.decode(tokenIds).trim(),
    }));
    const imageTokensOf = async (image: number) => required(prefixes[image], 'the keys and values of an image');
    return await checkDecoding(decoder, wanted, golden, imageTokensOf, tolerance);
  } finally {
    await decoder.dispose();
  }
}

async function prefixesOf(pack: Pack, golden: Golden, compute: Compute): Promise<Float32Array[]> {
  const encoder = await QueryPrefixEncoder.load(pack, compute);
  try {
    const prefixes: Float32Array[] = [];
    for (const pixelValues of await pixelValuesOf(golden)) prefixes.push(...(await encoder.encode([pixelValues])));
    return prefixes;
  } finally {
    await encoder.dispose();
  }
}
