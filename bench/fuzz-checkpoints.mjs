#!/usr/bin/env node
/**
 * Gives the readers of checkpoint files a hundred thousand damaged files: each must be read, or refused with a CheckpointError that says what is
 * wrong, in time and without keeping memory.
 *
 *     npm run build
 *     node bench/fuzz-checkpoints.mjs --cases 100000 --seed 1
 *
 * Every case follows from the seed and its number; `--only N` runs one again and keeps its file. Writes a summary to
 * bench/runs/DATE-MACHINE/fuzz-checkpoints.json.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { mutate, SeededRandom } from './checkpoint-mutations.mjs';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

const FIXTURES = join(ROOT, 'test/fixtures/pickles');
/** Larger files would only make the run longer. */
const MAX_SEED_BYTES = 500_000;
/** A case that takes longer counts as one that never ends. */
const MAX_CASE_SECONDS = 10;
/** A case that needs more memory for objects ends the run. */
const MAX_HEAP_MB = 256;
/** What is read of each tensor: its beginning and its end. */
const PIECE_BYTES = 65_536;
const MAX_TENSORS = 50;

/** @typedef {{ cases: number, first: number, seed: number, folder: string, progress: SharedArrayBuffer }} Order */
/** @typedef {{ number: number, file: string, problem: string }} Failure */

if (isMainThread) await main();
else await runCases(/** @type {Order} */ (workerData));

async function main() {
  const { values: options } = parseArgs({
    options: {
      cases: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string' },
      machine: { type: 'string', default: machineName() },
    },
  });
  const only = options.only === undefined ? undefined : Number(options.only);
  const folder = mkdtempSync(join(tmpdir(), 'minigpt-fuzz-'));
  const progress = new SharedArrayBuffer(4);
  const order = { cases: only === undefined ? Number(options.cases) : 1, first: only ?? 0, seed: Number(options.seed) };
  const started = performance.now();
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { ...order, folder, progress },
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  const result = await finishedOrStuck(worker, new Int32Array(progress));
  const summary = {
    date: new Date().toISOString(),
    machine: describeMachine(),
    versions: describeVersions(),
    seed: order.seed,
    ...result,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
  console.log(JSON.stringify(summary, null, 2));
  if (only === undefined) {
    rmSync(folder, { recursive: true });
    const runs = join(ROOT, 'bench/runs', `${summary.date.slice(0, 10)}-${options.machine}`);
    await mkdir(runs, { recursive: true });
    await writeFile(join(runs, 'fuzz-checkpoints.json'), `${JSON.stringify(summary, null, 2)}\n`);
  } else console.log(`The file is in ${folder}`);
  process.exitCode = result.failures.length === 0 ? 0 : 1;
}

/**
 * The worker's summary; or, when it is stuck in a case or falls over, that.
 *
 * @param {Worker} worker
 * @param {Int32Array} progress
 * @returns {Promise<{ failures: Failure[] } & Record<string, unknown>>}
 */
async function finishedOrStuck(worker, progress) {
  let last = -1;
  let since = performance.now();
  return new Promise((resolve) => {
    const end = (/** @type {{ failures: Failure[] } & Record<string, unknown>} */ outcome) => {
      clearInterval(watch);
      void worker.terminate().then(() => resolve(outcome));
    };
    const fail = (/** @type {string} */ problem) =>
      end({ failures: [{ number: Atomics.load(progress, 0), file: 'unknown', problem }] });
    const watch = setInterval(() => {
      const now = Atomics.load(progress, 0);
      if (now !== last) [last, since] = [now, performance.now()];
      else if (performance.now() - since > MAX_CASE_SECONDS * 1000) fail(`no end after ${MAX_CASE_SECONDS} seconds`);
    }, 500);
    worker.once('message', end);
    worker.once('error', (error) => fail(String(error)));
  });
}

/** @param {Order} order */
async function runCases({ cases, first, seed, folder, progress }) {
  const { TorchFile } = await import(new URL('../dist/importer/read/torch-file.js', import.meta.url).href);
  const { SafetensorsFile } = await import(new URL('../dist/importer/read/safetensors.js', import.meta.url).href);
  const { CheckpointError } = await import(new URL('../dist/errors.js', import.meta.url).href);
  const seeds = seedFiles();
  const good = seeds.filter(({ name }) => name.startsWith('good'));
  const done = new Int32Array(progress);
  /** @type {Record<string, number>} */
  const outcomes = {};
  /** @type {Failure[]} */
  const failures = [];
  /** @type {{ rssMb: number, heapMb: number }[]} */
  const memory = [];
  let slowest = { number: 0, file: '', milliseconds: 0 };
  for (let index = 0; index < cases; index++) {
    const number = first + index;
    Atomics.store(done, 0, number);
    const random = new SeededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
    // Damage gets deeper into the readers from a good file.
    const { name, bytes } = random.pick(random.below(4) === 0 ? seeds : good);
    const isSafetensors = name.endsWith('.safetensors');
    const path = join(folder, isSafetensors ? 'case.safetensors' : 'case.pth');
    writeFileSync(path, mutate(bytes, random.pick(seeds).bytes, random));
    const started = performance.now();
    let outcome = 'read';
    try {
      await readEnds(await (isSafetensors ? SafetensorsFile : TorchFile).open(path));
    } catch (error) {
      outcome = error instanceof CheckpointError && error.fault !== undefined ? error.fault : 'failure';
      if (outcome === 'failure') failures.push({ number, file: name, problem: String(error?.stack ?? error) });
    }
    const milliseconds = Math.round(performance.now() - started);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (milliseconds > slowest.milliseconds) slowest = { number, file: name, milliseconds };
    // After a twentieth, in the middle and at the end: the first cases compile the code and fill the heap.
    if ([Math.floor(cases / 20), Math.floor(cases / 2), cases - 1].includes(index)) memory.push(memoryUsed());
  }
  const [start, middle, end] = memory;
  parentPort?.postMessage({
    cases,
    outcomes,
    slowest,
    memory: { start, middle, end },
    failures: failures.slice(0, 20),
  });
}

/** Memory of the process, and of the objects that are alive in this thread. */
function memoryUsed() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rssMb: Math.round(rss / 2 ** 20), heapMb: Math.round((heapUsed + external) / 2 ** 20) };
}

/** Reads the ends of all tensors, and closes the file. @param {any} file */
async function readEnds(file) {
  try {
    for (const tensor of [...file.tensors.values()].slice(0, MAX_TENSORS)) {
      const length = Math.min(tensor.byteLength, PIECE_BYTES);
      for (const start of [0, tensor.byteLength - length]) {
        const piece = await file.read(tensor, start, length);
        if (piece.length !== length) throw new Error(`${piece.length} bytes instead of ${length}`);
      }
    }
    JSON.stringify(file.settings ?? {});
  } finally {
    await file.close();
  }
}

/** The fixtures, good and bad, as far as they are files of tensors. */
function seedFiles() {
  return ['good', 'bad'].flatMap((kind) =>
    readdirSync(join(FIXTURES, kind))
      .toSorted()
      .map((name) => join(kind, name))
      .filter((name) => statSync(join(FIXTURES, name)).isFile() && statSync(join(FIXTURES, name)).size < MAX_SEED_BYTES)
      .map((name) => ({ name, bytes: readFileSync(join(FIXTURES, name)) })),
  );
}
