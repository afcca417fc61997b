#!/usr/bin/env node
/**
 * What a long row leaves behind when it has ended: memory of the KV cache, and the time of a step over the short rows that go on. Several builds of
 * the program take turns.
 *
 *     npm run build
 *     node bench/kv-cache.mjs --build before=/tmp/before --build after=. --repetitions 5
 *
 * Prints medians and writes every single number to bench/runs/DATE-MACHINE/kv-cache.json.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

const { values: options } = parseArgs({
  options: {
    build: { type: 'string', multiple: true, default: ['this=.'] },
    model: { type: 'string', default: 'nano' },
    rows: { type: 'string', default: '16' },
    'long-row': { type: 'string', default: '240' },
    repetitions: { type: 'string', default: '5' },
    machine: { type: 'string', default: machineName() },
  },
});

const ROWS = Number(options.rows);
const SHORT = 8;
/** Steps after which a cache has had time to shrink, and steps that are timed. */
const BEFORE = 40;
const TIMED = 15;

const builds = await Promise.all(
  options.build.map(async (text) => {
    const [name = '', folder = ''] = text.split('=', 2);
    const root = folder === '.' ? ROOT : resolve(folder);
    /** @param {string} path */
    const compiled = async (path) => import(`file://${join(root, 'dist', path)}`);
    const { resolvePack } = await compiled('store/packs.js');
    const { loadLanguageModel } = await compiled('language/load-language-model.js');
    return { name, language: await loadLanguageModel(await resolvePack(options.model), { threads: 1 }) };
  }),
);

/** @type {{ build: string, msPerStep: number, processorMsPerStep: number, cacheBytes: number, loadAverage: number }[]} */
const measurements = [];
for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
  for (const { name, language } of builds) {
    const cache = language.newCache(ROWS, Number(options['long-row']));
    const ids = Array.from({ length: Number(options['long-row']) }, (_, position) => 20 + (position % 100));
    const long = { embeds: await language.embedTokens(ids), length: ids.length };
    const short = { embeds: await language.embedTokens(ids.slice(0, SHORT)), length: SHORT };
    await language.prefill(cache, 0, [long]);
    await language.prefill(
      cache,
      0,
      Array.from({ length: ROWS }, () => short),
    );
    const tokens = Array.from({ length: ROWS }, () => 30);
    /** @param {number} from @param {number} count */
    const steps = async (from, count) => {
      for (let step = from; step < from + count; step++)
        await language.step(
          cache,
          tokens,
          tokens.map(() => SHORT + step),
        );
    };
    await steps(0, BEFORE);
    const loadAverage = loadavg()[0] ?? NaN;
    const cpu = process.cpuUsage();
    const started = performance.now();
    await steps(BEFORE, TIMED);
    const msPerStep = (performance.now() - started) / TIMED;
    const { user, system } = process.cpuUsage(cpu);
    const cacheBytes = Object.values(cache.inputs(0, ROWS)).reduce((sum, { data }) => sum + data.byteLength, 0);
    const processorMsPerStep = (user + system) / 1000 / TIMED;
    measurements.push({ build: name, msPerStep, processorMsPerStep, cacheBytes, loadAverage });
  }
}
for (const { language } of builds) await language.dispose();

/** @param {number[]} numbers */
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN;
const summary = builds.map(({ name }) => {
  const own = measurements.filter(({ build }) => build === name);
  return {
    build: name,
    msPerStep: median(own.map(({ msPerStep }) => msPerStep)),
    processorMsPerStep: median(own.map(({ processorMsPerStep }) => processorMsPerStep)),
    cacheBytes: median(own.map(({ cacheBytes }) => cacheBytes)),
  };
});
console.table(summary);
const target = join(ROOT, 'bench/runs', `${new Date().toISOString().slice(0, 10)}-${options.machine}`);
await mkdir(target, { recursive: true });
const setting = { model: options.model, rows: ROWS, longRow: Number(options['long-row']), shortRow: SHORT + BEFORE };
const result = { machine: describeMachine(), versions: describeVersions(), setting, summary, measurements };
await writeFile(join(target, 'kv-cache.json'), `${JSON.stringify(result, null, 2)}\n`);
console.log(`Written to ${join(target, 'kv-cache.json')}`);
