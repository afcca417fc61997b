#!/usr/bin/env node
/**
 * Images per second of the built program over whole folders, end to end, for several batch sizes; and beside it what decoding alone and decoding
 * with resizing take for the same files, with as many decoders as the program uses. The difference is the model's.
 *
 *     npm run build
 *     node bench/folders.mjs /tmp/bench-photos/small /tmp/bench-photos/camera --repetitions 3
 *
 * Prints a table of medians and writes every single number to bench/runs/DATE-MACHINE/folders.json.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

/** The program's own rule for images decoded at one time (src/cli/options/settings.ts). */
const DECODERS = Math.min(availableParallelism() + 1, 8);

const LIMITS = { maxPixels: 268_435_456 };

/**
 * @typedef {{ folder: string, stage: string, batchSize: string | null, images: number, seconds: number, peakRssMb: number | null,
 *   outputSha256: string | null, loadAverage: number }} Measurement
 */

const { values: options, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: {
    'batch-sizes': { type: 'string', default: '1,16,64,auto' },
    repetitions: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(availableParallelism()) },
    'max-new-tokens': { type: 'string', default: '20' },
    model: { type: 'string', default: 'nano' },
    machine: { type: 'string', default: machineName() },
    note: { type: 'string', default: '' },
  },
});
if (folders.length === 0)
  throw new Error('Use: node bench/folders.mjs FOLDER… [--batch-sizes 1,16,64,auto] [--repetitions 3]');

/** The compiled modules whose parts are measured by themselves. @param {string} path */
const compiled = async (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { decodeImage } = await compiled('images/decode.js');
const { loadPixelValues } = await compiled('images/pixel-values.js');
const { resolvePack } = await compiled('store/packs.js');
const { declaration } = await resolvePack(options.model);

/**
 * Seconds to do something with every file, `DECODERS` at a time.
 *
 * @param {string[]} files
 * @param {(path: string) => Promise<unknown>} work
 */
async function timeFiles(files, work) {
  const started = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < files.length) await work(files[next++] ?? '');
  };
  await Promise.all(Array.from({ length: DECODERS }, worker));
  return (performance.now() - started) / 1000;
}

/**
 * Seconds from starting the program to its end, start-up and loading of the model included.
 *
 * @param {string} folder
 * @param {string} batchSize
 * @param {string} output
 */
async function timeProgram(folder, batchSize, output) {
  const words = ['caption', folder, '-o', output, '--quiet', '--model', options.model];
  words.push('--batch-size', batchSize, '--threads', options.threads, '--max-new-tokens', options['max-new-tokens']);
  const started = performance.now();
  const child = spawn(process.execPath, [join(ROOT, 'bin/minigpt.js'), ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaints = '';
  child.stderr.on('data', (chunk) => (complaints += String(chunk)));
  let peakRssMb = /** @type {number | null} */ (null);
  const watch = setInterval(async () => {
    // The kernel keeps the high-water mark, so looking now and then misses only the last moments. Linux only.
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    const kilobytes = /^VmHWM:\s+(\d+)/m.exec(status)?.[1];
    if (kilobytes !== undefined) peakRssMb = Math.round(Number(kilobytes) / 1024);
  }, 50);
  const code = await new Promise((done, fail) => child.on('error', fail).on('close', done));
  const seconds = (performance.now() - started) / 1000;
  clearInterval(watch);
  if (code !== 0) throw new Error(`minigpt ${words.join(' ')} ended with ${code}:\n${complaints}`);
  return { seconds, peakRssMb };
}

/**
 * @param {string} folder
 * @param {(measurement: Measurement) => void} report
 */
async function measureOnce(folder, report) {
  const files = (await readdir(folder)).toSorted().map((name) => join(folder, name));
  // Read once first, so that every measurement finds the files in memory.
  for (const file of files) await readFile(file);
  // The first call loads and compiles what the others find ready.
  await loadPixelValues(files[0] ?? '', declaration.image, LIMITS);
  const common = { folder, images: files.length };
  const alone = { ...common, batchSize: null, peakRssMb: null, outputSha256: null };
  let loadAverage = loadavg()[0] ?? 0;
  const decoding = await timeFiles(files, async (path) => decodeImage(path, LIMITS));
  report({ ...alone, stage: 'decoding', seconds: decoding, loadAverage });
  loadAverage = loadavg()[0] ?? 0;
  const resizing = await timeFiles(files, async (path) => loadPixelValues(path, declaration.image, LIMITS));
  report({ ...alone, stage: 'decoding and resizing', seconds: resizing, loadAverage });
  const temporary = await mkdtemp(join(tmpdir(), 'minigpt-bench-'));
  for (const batchSize of options['batch-sizes'].split(',')) {
    loadAverage = loadavg()[0] ?? 0;
    const output = join(temporary, `${batchSize}.jsonl`);
    const run = await timeProgram(folder, batchSize, output);
    const outputSha256 = createHash('sha256')
      .update(await readFile(output))
      .digest('hex');
    report({ ...common, stage: 'minigpt caption', batchSize, ...run, outputSha256, loadAverage });
  }
  await rm(temporary, { recursive: true });
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/**
 * What the line of a measurement in the table stands for.
 *
 * @param {Measurement} measurement
 */
function lineOf({ folder, stage, batchSize }) {
  return [folder, stage, batchSize ?? ''].join('\n');
}

/**
 * One line for each folder, stage and batch size.
 *
 * @param {Measurement[]} all
 */
function summarise(all) {
  return [...new Set(all.map(lineOf))].map((wanted) => {
    const group = all.filter((one) => lineOf(one) === wanted);
    const [folder = '', stage = '', batchSize = ''] = wanted.split('\n');
    const seconds = median(group.map((one) => one.seconds));
    const decoding = all.filter((one) => one.folder === folder && one.stage === 'decoding');
    const peaks = group.map((one) => one.peakRssMb).filter((peak) => peak !== null);
    return {
      folder,
      stage,
      batchSize,
      seconds,
      imagesPerSecond: (group[0]?.images ?? 0) / seconds,
      timesDecoding: seconds / median(decoding.map((one) => one.seconds)),
      peakRssMb: peaks.length === 0 ? null : Math.max(...peaks),
    };
  });
}

/** @param {ReturnType<typeof summarise>} lines */
function printTable(lines) {
  const rows = lines.map((line) => [
    line.folder,
    line.stage,
    line.batchSize,
    line.seconds.toFixed(2),
    line.imagesPerSecond.toFixed(1),
    line.timesDecoding.toFixed(2),
    line.peakRssMb === null ? '' : String(line.peakRssMb),
  ]);
  rows.unshift(['folder', 'stage', 'batch', 'seconds', 'images/s', 'times decoding', 'peak MB']);
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows) {
    // Words to the left, numbers to the right.
    const cells = row.map((cell, column) =>
      column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join('  '));
  }
}

const measurements = /** @type {Measurement[]} */ ([]);
for (let repetition = 1; repetition <= Number(options.repetitions); repetition++) {
  // Repetitions stand outside, so that a disturbance does not fall on one stage alone.
  for (const folder of folders.map((path) => resolve(path))) {
    await measureOnce(folder, (measurement) => {
      measurements.push(measurement);
      const { stage, batchSize, seconds, images } = measurement;
      const what = batchSize === null ? stage : `${stage}, batch ${batchSize}`;
      console.error(
        `${repetition}: ${folder}: ${what}: ${seconds.toFixed(2)} s, ${(images / seconds).toFixed(1)} images/s`,
      );
    });
  }
}
const summary = summarise(measurements);
printTable(summary);
for (const folder of new Set(measurements.map((one) => one.folder))) {
  const outputs = measurements.filter((one) => one.folder === folder && one.outputSha256 !== null);
  const different = new Set(outputs.map((one) => one.outputSha256)).size;
  console.log(`${folder}: ${different === 1 ? 'every run wrote the same bytes' : `${different} DIFFERENT OUTPUTS`}`);
}

const target = join(ROOT, 'bench/runs', `${new Date().toISOString().slice(0, 10)}-${options.machine}`);
await mkdir(target, { recursive: true });
const { threads, model, note } = options;
const setting = {
  threads: Number(threads),
  decoders: DECODERS,
  model,
  maxNewTokens: Number(options['max-new-tokens']),
  note,
};
const result = { machine: describeMachine(), versions: describeVersions(), setting, summary, measurements };
await writeFile(join(target, 'folders.json'), `${JSON.stringify(result, null, 2)}\n`);
console.log(`Written to ${join(target, 'folders.json')}`);
