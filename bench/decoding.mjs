#!/usr/bin/env node
/**
 * Tokens per second of greedy decoding, of beams and of sampling, at several batch sizes, in one copy of the model: what a strategy costs beside
 * the forward pass that all of them share. Images are encoded before, and the time of that is given beside.
 *
 *     npm run build
 *     node bench/decoding.mjs /tmp/bench-photos/small --images 48 --repetitions 3
 *
 * Prints a table of medians and writes every single number to bench/runs/DATE-MACHINE/decoding.json, for another model than nano decoding-ID.json.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'batch-sizes': { type: 'string', default: '1,8,16' },
    images: { type: 'string', default: '48' },
    repetitions: { type: 'string', default: '3' },
    threads: { type: 'string', default: '1' },
    beams: { type: 'string', default: '5' },
    'max-new-tokens': { type: 'string', default: '20' },
    model: { type: 'string', default: 'nano' },
    machine: { type: 'string', default: machineName() },
    note: { type: 'string', default: '' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('Use: node bench/decoding.mjs FOLDER [--images 48] [--repetitions 3]');

/** @param {string} path */
const compiled = async (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { ContinuousBatch } = await compiled('engine/answers/continuous-batch.js');
const { samplingKey } = await compiled('engine/choosers.js');
const { promptLength } = await compiled('engine/model.js');
const { loadStages } = await compiled('engine/model-stages.js');
const { loadTexts } = await compiled('engine/texts/load-texts.js');
const { loadPixelValues } = await compiled('images/pixel-values.js');
const { resolvePack } = await compiled('store/packs.js');

const STRATEGIES = /** @type {const} */ ({
  greedy: undefined,
  beams: { kind: 'beams', beams: Number(options.beams), lengthPenalty: 1 },
  sampling: { kind: 'sampling', temperature: 1, topK: 50, topP: 0.9, seed: 0 },
});

const pack = await resolvePack(options.model);
const { encoder, language } = await loadStages(pack, { threads: Number(options.threads) });
const texts = await loadTexts(pack);
const { segments } = texts.captionPrompt();
const files = (await readdir(folder)).toSorted().slice(0, Number(options.images));
/** @type {Float32Array[]} */
const pixelValues = [];
for (const file of files)
  pixelValues.push(await loadPixelValues(join(folder, file), pack.declaration.image, { maxPixels: 2 ** 28 }));

/** Image tokens of all images, encoded `size` at a time. @param {number} size */
async function encode(size) {
  /** @type {Float32Array[]} */
  const imageTokens = [];
  for (let start = 0; start < pixelValues.length; start += size) {
    const group = pixelValues.slice(start, start + size);
    const embeds = await encoder.embedImages(group);
    imageTokens.push(...(await encoder.imageTokens(embeds, [...group.keys()], undefined)));
  }
  return imageTokens;
}

/**
 * Writes a caption for every image, `places` at a time.
 *
 * @param {Float32Array[]} imageTokens
 * @param {number} places
 * @param {keyof typeof STRATEGIES} strategy
 * @returns {Promise<number>} tokens written
 */
async function decode(imageTokens, places, strategy) {
  const search = STRATEGIES[strategy];
  const maxNewTokens = Number(options['max-new-tokens']);
  const length = promptLength(segments, imageTokens[0] ?? new Float32Array(), language.declaration);
  const rows = places * (search?.kind === 'beams' ? search.beams : 1);
  const batch = new ContinuousBatch(language, rows, language.positionsNeeded(length, maxNewTokens));
  let tokens = 0;
  imageTokens.forEach((one, index) => {
    batch.add({
      imageTokens: one,
      segments,
      options: {
        maxNewTokens,
        minNewTokens: 0,
        repetitionPenalty: 1,
        noRepeatNgram: 0,
        eosTokenIds: language.declaration.eosTokenIds,
        stopSequences: texts.stopSequences,
        bannedFrom: texts.tokenCount,
        score: false,
        ...(search === undefined ? {} : { search }),
      },
      key: samplingKey(pixelValues[index] ?? new Float32Array(), segments),
      resolve: (/** @type {Error | { tokenIds: number[] }} */ result) => {
        if (result instanceof Error) throw result;
        tokens += result.tokenIds.length;
      },
    });
  });
  while (!batch.isIdle) await batch.advance();
  return tokens;
}

/** @type {{ batchSize: number, stage: string, images: number, seconds: number, tokens: number | null, loadAverage: number }[]} */
const measurements = [];
const batchSizes = options['batch-sizes'].split(',').map(Number);
const strategies = /** @type {(keyof typeof STRATEGIES)[]} */ (Object.keys(STRATEGIES));
const warm = await encode(8);
for (const strategy of strategies) await decode(warm.slice(0, 8), 8, strategy);

for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
  for (const batchSize of batchSizes) {
    const common = { batchSize, images: files.length, loadAverage: loadavg()[0] ?? 0 };
    let started = performance.now();
    const imageTokens = await encode(batchSize);
    measurements.push({ ...common, stage: 'encoding', seconds: (performance.now() - started) / 1000, tokens: null });
    for (const strategy of strategies) {
      started = performance.now();
      const tokens = await decode(imageTokens, batchSize, strategy);
      measurements.push({ ...common, stage: strategy, seconds: (performance.now() - started) / 1000, tokens });
    }
  }
}
await encoder.dispose();
await language.dispose();

/** @param {number[]} numbers */
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

const table = batchSizes.flatMap((batchSize) => {
  /** @param {string} stage */
  const of = (stage) => measurements.filter((one) => one.batchSize === batchSize && one.stage === stage);
  const milliseconds = (/** @type {string} */ stage) =>
    median(of(stage).map(({ seconds, images }) => (1000 * seconds) / images));
  const encoding = milliseconds('encoding');
  return strategies.map((stage) => ({
    batchSize,
    strategy: stage === 'beams' ? `${options.beams} beams` : stage,
    tokensPerSecond: Math.round(median(of(stage).map(({ seconds, tokens }) => (tokens ?? 0) / seconds))),
    decodingMsPerImage: Number(milliseconds(stage).toFixed(2)),
    timesGreedy: Number((milliseconds(stage) / milliseconds('greedy')).toFixed(2)),
    withEncodingMsPerImage: Number((encoding + milliseconds(stage)).toFixed(2)),
    timesGreedyWithEncoding: Number(
      ((encoding + milliseconds(stage)) / (encoding + milliseconds('greedy'))).toFixed(2),
    ),
  }));
});
console.table(table);

const date = new Date().toISOString().slice(0, 10);
const target = join(ROOT, 'bench/runs', `${date}-${options.machine}`);
await mkdir(target, { recursive: true });
const record = {
  benchmark: 'decoding',
  machine: describeMachine(),
  versions: describeVersions(),
  options,
  model: `${pack.declaration.id}@${pack.digest.slice(0, 12)}`,
  table,
  measurements,
};
const file = join(target, options.model === 'nano' ? 'decoding.json' : `decoding-${pack.declaration.id}.json`);
await writeFile(file, `${JSON.stringify(record, null, 2)}\n`);
console.log(file);
