/** What a benchmark ran on: kept with every number we quote. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The package's root folder. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * @returns {string} The processor's name as part of a folder name.
 */
export function machineName() {
  const model = cpus()[0]?.model ?? arch();
  const words = model.toLowerCase().replaceAll(/\((r|tm)\)|@.*|\bcpu\b|\bprocessor\b/g, ' ');
  return `${words.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '')}-${availableParallelism()}-cores`;
}

export function describeMachine() {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
  };
}

export function describeVersions() {
  return {
    minigpt: packageVersion('.'),
    commit: currentCommit(),
    node: process.version,
    'onnxruntime-node': packageVersion('node_modules/onnxruntime-node'),
    sharp: packageVersion('node_modules/sharp'),
  };
}

/**
 * @param {string} folder
 * @returns {string}
 */
function packageVersion(folder) {
  return JSON.parse(readFileSync(`${ROOT}/${folder}/package.json`, 'utf8')).version;
}

/** The commit, with a plus sign where files of it were changed; null outside of a git checkout. */
function currentCommit() {
  try {
    const git = (/** @type {string[]} */ ...words) =>
      execFileSync('git', words, { cwd: ROOT, encoding: 'utf8' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '-uno') === '' ? '' : '+');
  } catch {
    return null;
  }
}
