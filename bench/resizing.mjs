#!/usr/bin/env node
/**
 * What the way from a file to pixel values costs, and how much of it holds the main thread: resizing alone for several sizes, all of
 * `loadPixelValues` over folders, and whole runs of `minigpt caption` over them. Several builds of the program take turns.
 *
 *     npm run build
 *     node bench/resizing.mjs /tmp/bench-photos/small /tmp/bench-photos/camera --build before=/tmp/before --build after=. --repetitions 5
 *
 * Prints medians and writes every single number to bench/runs/DATE-MACHINE/resizing.json. Processor time tells more than wall time where others use the machine.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

/** From width x height to a square of a side. @type {readonly (readonly [number, number, number])[]} */
const SIZES = [
  [224, 224, 112],
  [640, 480, 112],
  [448, 448, 112],
  [640, 480, 224],
  [896, 896, 224],
  [1792, 1344, 224],
  [500, 375, 364],
];

/** The program's own rule for images decoded at one time (src/cli/options/settings.ts). */
const DECODERS = Math.min(availableParallelism() + 1, 8);

const LIMITS = { maxPixels: 268_435_456 };

/**
 * @typedef {{ build: string, what: string, images: number, seconds: number, processorSeconds: number, mainThreadSeconds: number | null,
 *   loadAverage: number }} Measurement
 */

const { values: options, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: {
    build: { type: 'string', multiple: true, default: ['this=.'] },
    repetitions: { type: 'string', default: '5' },
    side: { type: 'string', default: '112' },
    'whole-runs': { type: 'boolean', default: false },
    machine: { type: 'string', default: machineName() },
    note: { type: 'string', default: '' },
  },
});

const builds = await Promise.all(
  options.build.map(async (text) => {
    const [name = '', folder = ''] = text.split('=', 2);
    const root = folder === '.' ? ROOT : resolve(folder);
    /** @param {string} path */
    const compiled = async (path) => import(`file://${join(root, 'dist', path)}`);
    const { resampleBicubic } = await compiled('images/resample.js');
    const { loadPixelValues } = await compiled('images/pixel-values.js');
    return { name, root, resampleBicubic, loadPixelValues };
  }),
);

const declaration = {
  imageSize: Number(options.side),
  rescaleFactor: 1 / 255,
  imageMean: [0.481, 0.458, 0.408],
  imageStd: [0.269, 0.261, 0.276],
};

const measurements = /** @type {Measurement[]} */ ([]);

/**
 * @param {string} build
 * @param {string} what
 * @param {number} images
 * @param {() => Promise<void>} work
 */
async function measure(build, what, images, work) {
  const loadAverage = loadavg()[0] ?? NaN;
  const before = { cpu: process.cpuUsage(), loop: performance.eventLoopUtilization(), time: performance.now() };
  await work();
  const seconds = (performance.now() - before.time) / 1000;
  const { user, system } = process.cpuUsage(before.cpu);
  const mainThreadSeconds = performance.eventLoopUtilization(before.loop).active / 1000;
  const processorSeconds = (user + system) / 1e6;
  measurements.push({ build, what, images, seconds, processorSeconds, mainThreadSeconds, loadAverage });
}

/** @param {number} width @param {number} height */
function noise(width, height) {
  let state = 1;
  const data = new Uint8Array(width * height * 3).map(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state >>> 24;
  });
  return { width, height, data };
}

async function measureSizes() {
  for (const [width, height, side] of SIZES) {
    const image = noise(width, height);
    const count = Math.ceil(2e7 / (width * height * 3));
    for (const { name, resampleBicubic } of builds) {
      await measure(name, `${width}x${height} to ${side}x${side}`, count, async () => {
        for (let n = 0; n < count; n++) await resampleBicubic(image, side, side);
      });
    }
  }
}

/** @param {string} folder */
async function measureLoading(folder) {
  const files = (await readdir(folder)).toSorted().map((name) => join(folder, name));
  for (const file of files) await readFile(file);
  for (const { name, loadPixelValues } of builds) {
    await measure(name, `${folder}: pixel values`, files.length, async () => {
      const remaining = files.values();
      const work = async () => {
        for (const file of remaining) await loadPixelValues(file, declaration, LIMITS);
      };
      await Promise.all(Array.from({ length: DECODERS }, work));
    });
  }
}

/** @param {string} folder */
async function measureRuns(folder) {
  const images = (await readdir(folder)).length;
  const temporary = await mkdtemp(join(tmpdir(), 'minigpt-bench-'));
  for (const { name, root } of builds) {
    const loadAverage = loadavg()[0] ?? NaN;
    const started = performance.now();
    const words = [join(root, 'bin/minigpt.js'), 'caption', folder, '-o', join(temporary, `${name}.jsonl`), '--quiet'];
    const child = spawn(process.execPath, words, { stdio: 'ignore' });
    let processorSeconds = NaN;
    const watch = setInterval(async () => {
      // Linux only; looking now and then misses only the last moments.
      const fields = (await readFile(`/proc/${child.pid}/stat`, 'utf8').catch(() => '')).split(') ')[1]?.split(' ');
      if (fields !== undefined) processorSeconds = (Number(fields[11]) + Number(fields[12])) / 100;
    }, 20);
    const code = await new Promise((done, fail) => child.on('error', fail).on('close', done));
    const seconds = (performance.now() - started) / 1000;
    clearInterval(watch);
    if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}`);
    const what = `${folder}: minigpt caption`;
    measurements.push({ build: name, what, images, seconds, processorSeconds, mainThreadSeconds: null, loadAverage });
  }
  await rm(temporary, { recursive: true });
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

/** Medians in ms an image. */
function summarise() {
  return [...new Set(measurements.map(({ what }) => what))].flatMap((what) =>
    builds.map(({ name }) => {
      const group = measurements.filter((one) => one.what === what && one.build === name);
      /** @param {(one: Measurement) => number | null} pick */
      const perImage = (pick) => median(group.map((one) => ((pick(one) ?? NaN) * 1000) / one.images));
      return {
        what,
        build: name,
        wallMs: perImage(({ seconds }) => seconds),
        processorMs: perImage(({ processorSeconds }) => processorSeconds),
        mainThreadMs: perImage(({ mainThreadSeconds }) => mainThreadSeconds),
      };
    }),
  );
}

// Loads and compiles what the measurements find ready.
for (const { resampleBicubic } of builds) for (let n = 0; n < 50; n++) await resampleBicubic(noise(200, 200), 112, 112);
for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
  await measureSizes();
  for (const folder of folders) await measureLoading(folder);
  if (options['whole-runs']) for (const folder of folders) await measureRuns(folder);
  console.error(`repetition ${repetition + 1} of ${options.repetitions} done`);
}
const summary = summarise();
for (const { what, build, wallMs, processorMs, mainThreadMs } of summary) {
  const [wall, processor, main] = [wallMs, processorMs, mainThreadMs].map((ms) =>
    (Number.isNaN(ms) ? '-' : ms.toFixed(3)).padStart(9),
  );
  console.log(`${what.padEnd(45)} ${build.padEnd(10)} ${wall} ms, processor ${processor} ms, main thread ${main} ms`);
}
const target = join(ROOT, 'bench/runs', `${new Date().toISOString().slice(0, 10)}-${options.machine}`);
await mkdir(target, { recursive: true });
const setting = {
  builds: builds.map(({ name }) => name),
  side: declaration.imageSize,
  decoders: DECODERS,
  note: options.note,
};
const result = { machine: describeMachine(), versions: describeVersions(), setting, summary, measurements };
await writeFile(join(target, 'resizing.json'), `${JSON.stringify(result, null, 2)}\n`);
console.log(`Written to ${join(target, 'resizing.json')}`);
