#!/usr/bin/env node
/**
 * What looking for a stop text costs per answer: as it is done, id by id, and by decoding all ids of the row after each token, which says the same.
 * Greedy rows, and beams, where each of 2k continuations is looked at.
 *
 *     npm run build
 *     node bench/stop-texts.mjs --repetitions 5
 *
 * Prints medians and writes every single number to bench/runs/DATE-MACHINE/stop-texts.json.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

const { values: options } = parseArgs({
  options: {
    lengths: { type: 'string', default: '32,128,512,2048' },
    beams: { type: 'string', default: '5' },
    repetitions: { type: 'string', default: '5' },
    machine: { type: 'string', default: machineName() },
  },
});

/** @param {string} path */
const compiled = async (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { holdsStopText } = await compiled('language/stop-texts.js');
const { resolvePack } = await compiled('store/packs.js');
const { loadTokenizer } = await compiled('tokenizer/tokenizer.js');
const tokenizer = await loadTokenizer((await resolvePack('nano')).directory);

const STOPS = ['never written', '\n\n'];
const words = "a dog runs through the snow, and two people with a red umbrella don't look. ".repeat(200);
/** @type {number[]} */
const ids = tokenizer.encode(words, { addSpecialTokens: false });
const beams = Number(options.beams);
const rule = holdsStopText(STOPS, () => tokenizer.startDecoding());

/** @param {number[]} row */
const plainlyHolds = (row) => {
  const text = tokenizer.decode(row);
  return STOPS.some((stop) => text.includes(stop));
};

/** @type {Readonly<Record<string, (length: number) => void>>} */
const WAYS = {
  'greedy, all ids': (length) => {
    for (let end = 1; end <= length; end++) plainlyHolds(ids.slice(0, end));
  },
  'greedy, id by id': (length) => {
    const check = rule.start();
    for (const id of ids.slice(0, length)) check.add(id);
  },
  'beams, all ids': (length) => {
    for (let end = 1; end <= length; end++)
      for (let candidate = 0; candidate < 2 * beams; candidate++) plainlyHolds(ids.slice(0, end));
  },
  'beams, id by id': (length) => {
    let checks = Array.from({ length: beams }, () => rule.start());
    for (const id of ids.slice(0, length)) {
      const candidates = checks.flatMap((check) => [check.fork(), check.fork()]);
      for (const check of candidates) check.add(id);
      checks = candidates.slice(0, beams);
    }
  },
};

const measurements = [];
const lengths = options.lengths.split(',').map(Number);
for (const way of Object.values(WAYS)) way(64);
for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
  for (const length of lengths) {
    for (const [way, work] of Object.entries(WAYS)) {
      const loadAverage = loadavg()[0] ?? NaN;
      const before = process.cpuUsage();
      const started = performance.now();
      work(length);
      const ms = performance.now() - started;
      measurements.push({ way, length, ms, processorMs: process.cpuUsage(before).user / 1000, loadAverage });
    }
  }
}
const summary = lengths.flatMap((length) =>
  Object.keys(WAYS).map((way) => {
    const all = measurements.filter((one) => one.length === length && one.way === way);
    const sorted = all.map(({ processorMs }) => processorMs).toSorted((a, b) => a - b);
    return { length, way, processorMs: sorted[sorted.length >> 1] ?? NaN };
  }),
);
for (const { length, way, processorMs } of summary)
  console.log(
    `${String(length).padStart(5)} tokens, ${way.padEnd(17)} ${processorMs.toFixed(2).padStart(10)} ms of processor time`,
  );
const target = join(ROOT, 'bench/runs', `${new Date().toISOString().slice(0, 10)}-${options.machine}`);
await mkdir(target, { recursive: true });
const result = { machine: describeMachine(), versions: describeVersions(), setting: { beams }, summary, measurements };
await writeFile(join(target, 'stop-texts.json'), `${JSON.stringify(result, null, 2)}\n`);
console.log(`Written to ${join(target, 'stop-texts.json')}`);
