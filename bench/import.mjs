#!/usr/bin/env node
/**
 * Seconds and memory of `minigpt models import` for a checkpoint of any size, beside the least that it could take: reading the sources and writing as
 * many bytes as the pack has, each with its sha256, in a plain loop.
 *
 *     npm run build
 *     node bench/make-checkpoint.mjs blip2-opt-2.7b --tokenizer DIR --out /tmp/big
 *     node bench/import.mjs /tmp/big --precisions int8,int4 --repetitions 2 --home /tmp/bench-home
 *
 * --other DIR imports with another build of the program as well, in turns, for a comparison under the same conditions. Packs are written below --home and
 * removed. Prints a table of medians and writes every single number to bench/runs/DATE-MACHINE/import.json.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { describeMachine, describeVersions, machineName, ROOT } from './machine.mjs';

/** @typedef {{ what: string, precision: string, sourceBytes: number, packBytes: number, seconds: number, processorSeconds: number | null,
 *   peakRssMb: number | null, packSha256: string | null, loadAverage: number }} Measurement */

const PIECE_BYTES = 16 * 2 ** 20;

const { values: options, positionals: sources } = parseArgs({
  allowPositionals: true,
  options: {
    precisions: { type: 'string', default: 'int8,int4' },
    repetitions: { type: 'string', default: '1' },
    home: { type: 'string', default: '/tmp/minigpt-bench-import' },
    other: { type: 'string' },
    machine: { type: 'string', default: machineName() },
    note: { type: 'string', default: '' },
  },
});
if (sources.length === 0)
  throw new Error('Use: node bench/import.mjs SOURCE… [--precisions int8,int4] [--repetitions 1] [--other DIR]');

/** The weights of the sources, which are nearly all of their bytes. */
async function weightFiles() {
  const files = [];
  for (const source of sources.map((path) => resolve(path))) {
    const isFolder = (await stat(source)).isDirectory();
    const names = isFolder ? (await readdir(source)).map((name) => join(source, name)) : [source];
    files.push(...names.filter((name) => /\.(safetensors|bin|pth)$/.test(name)));
  }
  return files.toSorted();
}

/**
 * Seconds to read files with their sha256 and to write `packBytes` bytes of them with theirs.
 *
 * @param {string[]} files
 * @param {number} packBytes
 * @param {string} target
 */
async function timeCopy(files, packBytes, target) {
  const piece = new Uint8Array(PIECE_BYTES);
  const sourceBytes = await sizeOf(files);
  const [readHash, writeHash] = [createHash('sha256'), createHash('sha256')];
  const started = performance.now();
  const output = await open(target, 'w');
  let [read, written] = [0, 0];
  for (const path of files) {
    const input = await open(path, 'r');
    for (;;) {
      const { bytesRead } = await input.read(piece, 0, PIECE_BYTES);
      if (bytesRead === 0) break;
      readHash.update(piece.subarray(0, bytesRead));
      read += bytesRead;
      // Of each piece as much is written as the pack is smaller, as an import does.
      const wanted = Math.min(Math.round((read / sourceBytes) * packBytes) - written, bytesRead);
      writeHash.update(piece.subarray(0, wanted));
      await output.write(piece, 0, wanted);
      written += wanted;
    }
    await input.close();
  }
  await output.close();
  readHash.digest();
  writeHash.digest();
  const seconds = (performance.now() - started) / 1000;
  await rm(target);
  return seconds;
}

/** @param {string[]} files */
async function sizeOf(files) {
  let bytes = 0;
  for (const path of files) bytes += (await stat(path)).size;
  return bytes;
}

/**
 * Imports with the program in `root`.
 *
 * @param {string} root
 * @param {string} precision
 * @param {string} home
 */
async function timeImport(root, precision, home) {
  const words = [
    'models',
    'import',
    ...sources.map((path) => resolve(path)),
    '--as',
    'bench',
    '--precision',
    precision,
  ];
  const started = performance.now();
  const child = spawn(process.execPath, [join(root, 'bin/minigpt.js'), ...words], {
    env: { ...process.env, MINIGPT_HOME: home },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaints = '';
  child.stderr.on('data', (chunk) => (complaints += String(chunk)));
  let peakRssMb = /** @type {number | null} */ (null);
  let processorSeconds = /** @type {number | null} */ (null);
  const watch = setInterval(async () => {
    // The kernel keeps the high-water mark and the sum, so looking now and then misses only the last moments. Linux only.
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    const kilobytes = /^VmHWM:\s+(\d+)/m.exec(status)?.[1];
    if (kilobytes !== undefined) peakRssMb = Math.round(Number(kilobytes) / 1024);
    const fields = (await readFile(`/proc/${child.pid}/stat`, 'utf8').catch(() => '')).split(') ')[1]?.split(' ');
    // User and system time, in hundredths of a second.
    if (fields !== undefined) processorSeconds = (Number(fields[11]) + Number(fields[12])) / 100;
  }, 50);
  const code = await new Promise((done, fail) => child.on('error', fail).on('close', done));
  const seconds = (performance.now() - started) / 1000;
  clearInterval(watch);
  if (code !== 0) throw new Error(`minigpt ${words.join(' ')} ended with ${code}:\n${complaints}`);
  const pack = join(home, 'models/bench');
  const declaration = await readFile(join(pack, 'model.json'));
  const packBytes = await sizeOf((await readdir(pack)).map((name) => join(pack, name)));
  await rm(pack, { recursive: true });
  // The declaration holds the sha256 of every file of the pack and of the sources.
  return {
    seconds,
    peakRssMb,
    processorSeconds,
    packBytes,
    packSha256: createHash('sha256').update(declaration).digest('hex'),
  };
}

/** @param {number[]} numbers */
function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** One line for each thing that was measured. @param {Measurement[]} all */
function printTable(all) {
  const rows = [['what', 'precision', 'seconds', 'MB/s of source', 'times copying', 'processor s', 'peak MB']];
  for (const precision of options.precisions.split(',')) {
    const own = all.filter((one) => one.precision === precision);
    const copying = median(own.filter(({ what }) => what === 'copy').map(({ seconds }) => seconds));
    for (const what of new Set(own.map((one) => one.what))) {
      const group = own.filter((one) => one.what === what);
      const seconds = median(group.map((one) => one.seconds));
      rows.push([
        what,
        precision,
        seconds.toFixed(1),
        ((group[0]?.sourceBytes ?? 0) / 1e6 / seconds).toFixed(0),
        (seconds / copying).toFixed(2),
        what === 'copy' ? '' : median(group.map((one) => one.processorSeconds ?? 0)).toFixed(1),
        what === 'copy' ? '' : String(Math.max(...group.map((one) => one.peakRssMb ?? 0))),
      ]);
    }
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows) {
    // Words to the left, numbers to the right.
    const cells = row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)));
    console.log(cells.join('  '));
  }
}

await mkdir(options.home, { recursive: true });
const home = await mkdtemp(join(options.home, 'home-'));
const files = await weightFiles();
const sourceBytes = await sizeOf(files);
const programs = [{ what: 'import', root: ROOT }];
if (options.other !== undefined) programs.unshift({ what: 'other import', root: resolve(options.other) });
const measurements = /** @type {Measurement[]} */ ([]);

/** @param {Measurement} measurement */
function report(measurement) {
  measurements.push(measurement);
  const { what, precision, seconds, peakRssMb } = measurement;
  const memory = peakRssMb === null ? '' : `, ${peakRssMb} MB`;
  console.error(`${what}, ${precision}: ${seconds.toFixed(1)} s${memory}, load ${measurement.loadAverage.toFixed(1)}`);
}

try {
  for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
    // Repetitions stand outside, so that a disturbance does not fall on one program alone.
    for (const precision of options.precisions.split(',')) {
      let packBytes = 0;
      for (const { what, root } of programs) {
        const loadAverage = loadavg()[0] ?? 0;
        const run = await timeImport(root, precision, home);
        packBytes = run.packBytes;
        report({ what, precision, sourceBytes, ...run, loadAverage });
      }
      const loadAverage = loadavg()[0] ?? 0;
      const seconds = await timeCopy(files, packBytes, join(home, 'copy'));
      const none = { peakRssMb: null, processorSeconds: null, packSha256: null };
      report({ what: 'copy', precision, sourceBytes, packBytes, seconds, ...none, loadAverage });
    }
  }
} finally {
  await rm(home, { recursive: true, force: true });
}
printTable(measurements);

const date = new Date().toISOString().slice(0, 10);
const directory = join(ROOT, 'bench/runs', `${date}-${options.machine}`);
await mkdir(directory, { recursive: true });
const result = {
  checkpoint: sources.map((path) => basename(resolve(path))),
  note: options.note,
  machine: describeMachine(),
  versions: describeVersions(),
  measurements,
};
await writeFile(join(directory, 'import.json'), `${JSON.stringify(result, null, 2)}\n`);
