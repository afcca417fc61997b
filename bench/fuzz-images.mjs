#!/usr/bin/env node
/**
 * Gives the program a folder of thousands of damaged images, as a user would: every image must have its record, in order; the run must end; no
 * library may write to the terminal on its own; and memory, that of the decoding processes included, must stay bounded.
 *
 *     npm run build
 *     node bench/fuzz-images.mjs --cases 4500 --seed 1
 *
 * Nine formats take turns, each case made from a fixture by the seed and its number; `--keep` leaves the files where they are. Writes a summary
 * to bench/runs/DATE-MACHINE/fuzz-images.json. Memory is measured on Linux only.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { SeededRandom } from './checkpoint-mutations.mjs';
import { mutateDrawing, mutateImage } from './image-mutations.mjs';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

const { values: options } = parseArgs({
  options: {
    cases: { type: 'string', default: '4500' },
    seed: { type: 'string', default: '1' },
    'decode-timeout': { type: 'string', default: '5' },
    keep: { type: 'boolean', default: false },
    date: { type: 'string', default: new Date().toISOString().slice(0, 10) },
    machine: { type: 'string', default: machineName() },
  },
});

const FORMATS = {
  jpeg: /\.jpg$/,
  png: /\.png$/,
  webp: /\.webp$/,
  avif: /\.avif$/,
  gif: /\.gif$/,
  tiff: /\.tif$/,
  svg: /\.svg$/,
  heic: /\.heic$/,
  bmp: /\.bmp$/,
};
/** Larger ones would only make the run longer. */
const MAX_SEED_BYTES = 60_000;
const SAMPLE_MS = 200;

/** Drawings with what drawings have: gradients, filters, patterns, masks, text, pictures, styles. */
const DRAWINGS = [
  '<circle cx="50" cy="50" r="40" fill="#f5c518" stroke="#222"/><path d="M20 60 q30 30 60 0" fill="none" stroke="#222" stroke-width="4"/>',
  '<defs><linearGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1" stop-color="blue"/></linearGradient></defs><rect width="90" height="90" fill="url(#g)"/>',
  '<filter id="f" x="-10%" y="-10%" width="120%" height="120%"><feGaussianBlur stdDeviation="3"/><feTurbulence baseFrequency="0.05" numOctaves="2"/></filter><rect width="90" height="90" filter="url(#f)"/>',
  '<pattern id="p" width="10" height="10" patternUnits="userSpaceOnUse"><circle cx="5" cy="5" r="4"/></pattern><mask id="m"><rect width="50" height="100" fill="#fff"/></mask><rect width="100" height="100" fill="url(#p)" mask="url(#m)"/>',
  '<style>.a > rect:nth-child(2n) { fill: green; transform: rotate(5deg) }</style><g class="a"><rect width="30" height="30"/><rect x="40" width="30" height="30"/></g><text x="5" y="90" font-size="20">Hello</text>',
  '<g id="u"><rect width="9" height="9"/></g><use href="#u" x="20"/><use href="#u" x="40" transform="scale(2)"/><image width="20" height="20" href="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="/>',
].map(
  (inside) => `<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100" viewBox="0 0 100 100">${inside}</svg>`,
);

const folder = mkdtempSync(join(tmpdir(), 'minigpt-fuzz-images-'));
const images = join(folder, 'images');
await mkdir(images);
const names = makeCases();
const result = await run();
const summary = {
  date: new Date().toISOString(),
  machine: describeMachine(),
  versions: describeVersions(),
  options: { cases: names.length, seed: Number(options.seed), decodeTimeout: Number(options['decode-timeout']) },
  ...result,
};
console.log(JSON.stringify(summary, null, 2));
const runs = join(ROOT, 'bench/runs', `${options.date}-${options.machine}`);
await mkdir(runs, { recursive: true });
await writeFile(join(runs, 'fuzz-images.json'), `${JSON.stringify(summary, null, 2)}\n`);
if (options.keep) console.log(`The files are in ${folder}`);
else rmSync(folder, { recursive: true });
process.exitCode = result.problems.length === 0 ? 0 : 1;

/** Writes the images and gives their names in order. */
function makeCases() {
  const seeds = seedFiles();
  return Array.from({ length: Number(options.cases) }, (_, number) => {
    const random = new SeededRandom(Math.imul(Number(options.seed), 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
    const formats = Object.keys(FORMATS);
    const format = formats[number % formats.length] ?? '';
    const ofFormat = seeds.get(format) ?? [];
    const [one, other] = [random.pick(ofFormat), random.pick(ofFormat)];
    const bytes = format === 'svg' ? mutateDrawing(one, other, random) : mutateImage(one, other, random);
    const name = `${String(number).padStart(5, '0')}.${format}`;
    writeFileSync(join(images, name), bytes);
    return name;
  });
}

/** The fixtures of each format. */
function seedFiles() {
  const fixtures = join(ROOT, 'test/fixtures/images');
  const paths = ['files', 'kinds'].flatMap((part) =>
    readdirSync(join(fixtures, part)).map((name) => join(fixtures, part, name)),
  );
  const readable = paths.filter((path) => !/\/(?:bad_|expected-|refused-)/.test(path)).toSorted();
  /** @type {Map<string, Buffer[]>} */
  const seeds = new Map();
  for (const [format, ending] of Object.entries(FORMATS)) {
    const files = readable.filter((path) => ending.test(path)).map((path) => readFileSync(path));
    seeds.set(
      format,
      files.filter((bytes) => bytes.length < MAX_SEED_BYTES),
    );
  }
  seeds.set(
    'svg',
    DRAWINGS.map((drawing) => Buffer.from(drawing)),
  );
  return seeds;
}

/** Captions the folder, and looks at what came of it. */
async function run() {
  const output = join(folder, 'captions.jsonl');
  // By name, because a folder would leave out what has an unusual ending.
  const list = join(folder, 'list.txt');
  writeFileSync(list, names.map((name) => `${join(images, name)}\n`).join(''));
  const program = [
    join(ROOT, 'bin/minigpt.js'),
    'caption',
    '--files-from',
    list,
    '-o',
    output,
    '--max-new-tokens',
    '1',
  ];
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [...program, '--decode-timeout', options['decode-timeout'], '--progress', 'none'],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, MINIGPT_HOME: join(folder, 'home') },
    },
  );
  const exited = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
  /** @type {{ seconds: number, programMb: number, decodersMb: number, decoders: number }[]} */
  const memory = [];
  const sampling = setInterval(
    () => memory.push({ seconds: secondsSince(started), ...memoryOf(child.pid ?? 0) }),
    SAMPLE_MS,
  );
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  clearInterval(sampling);
  const lines = readFileSync(output, 'utf8').split('\n').slice(0, -1);
  /** @type {{ image: string, error?: { code: string }, warnings?: string[] }[]} */
  const records = lines.map((line) => JSON.parse(line));
  const raw = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('minigpt: '));
  /** @type {Record<string, Record<string, number>>} */
  const outcomes = {};
  for (const { image, error, warnings } of records) {
    const format = image.replace(/.*\./, '');
    const outcome = error?.code ?? (warnings === undefined ? 'captioned' : 'captioned, damaged');
    (outcomes[format] ??= {})[outcome] = (outcomes[format][outcome] ?? 0) + 1;
  }
  const inOrder =
    records.length === names.length && records.every(({ image }, index) => image.endsWith(names[index] ?? '?'));
  const problems = [
    ...(code === 1 ? [] : [`the exit code is ${code}`]),
    ...(inOrder ? [] : [`${records.length} records for ${names.length} images, or out of order`]),
    ...(stdout === '' ? [] : ['something was written to standard output']),
    ...raw.slice(0, 20).map((line) => `on stderr: ${line}`),
    ...records.filter(({ error }) => error?.code === 'internal').map(({ image }) => `internal error: ${image}`),
  ];
  const greatest = (/** @type {(one: typeof memory[number]) => number} */ of) => Math.max(0, ...memory.map(of));
  const half = memory.filter(({ seconds }) => seconds < secondsSince(started) / 2);
  return {
    problems,
    seconds: Math.round(secondsSince(started)),
    exitCode: code,
    rawLinesOnStderr: raw.length,
    outcomes,
    messages: countMessages(stderr),
    memory: {
      programPeakMb: greatest(({ programMb }) => programMb),
      programPeakOfFirstHalfMb: Math.max(0, ...half.map(({ programMb }) => programMb)),
      decodersPeakMb: greatest(({ decodersMb }) => decodersMb),
      decoders: greatest(({ decoders }) => decoders),
    },
  };
}

/** How often each message was said, with numbers and names left out. @param {string} stderr */
function countMessages(stderr) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const line of stderr.split('\n')) {
    const message = /^minigpt: \S+\/images\/\S+: (.*)$/.exec(line)?.[1]?.replaceAll(/[\d,.]*\d/g, 'N');
    if (message !== undefined) counts[message] = (counts[message] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).toSorted(([, a], [, b]) => b - a));
}

/** Memory of the program and of the processes that it started. @param {number} pid */
function memoryOf(pid) {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    const ofDecoders = children.map(residentMb);
    return {
      programMb: residentMb(pid),
      decodersMb: ofDecoders.reduce((sum, one) => sum + one, 0),
      decoders: children.length,
    };
  } catch {
    return { programMb: 0, decodersMb: 0, decoders: 0 };
  }
}

/** @param {number} pid */
function residentMb(pid) {
  try {
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}

/** @param {number} started */
function secondsSince(started) {
  return Math.round((performance.now() - started) / 100) / 10;
}
