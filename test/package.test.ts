/** What is installed: the files of the package, and what its dependencies do on the way. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requireFreshBuild } from './fresh-build.ts';

const ROOT = join(import.meta.dirname, '..');
requireFreshBuild();

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8'));
}

describe('the published package', () => {
  const listing = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--silent'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  // A list of one package, or since npm 12 an object with its name as the key.
  const packed = Object.values(JSON.parse(listing) as Record<string, { files: { path: string }[] }>);
  const paths = packed.flatMap(({ files }) => files.map(({ path }) => path));

  test('holds what the program reads and what its user reads', () => {
    for (const path of ['LICENSE', 'README.md', 'CHANGELOG.md', 'licenses/onnx.txt', 'docs/models.md']) {
      expect(paths).toContain(path);
    }
    for (const folder of ['models', 'models/nano', 'prompts', 'examples/photos']) {
      const there = readdirSync(join(ROOT, folder), { withFileTypes: true }).filter((entry) => entry.isFile());
      expect(paths).toEqual(expect.arrayContaining(there.map(({ name }) => `${folder}/${name}`)));
    }
  });

  test('holds every source file compiled, and nothing beside it', () => {
    const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `dist/${path.replaceAll(sep, '/').replace(/\.ts$/, '.js')}`);
    expect(paths.filter((path) => path.startsWith('dist/')).toSorted()).toEqual(sources.toSorted());
  });

  test('holds no tests, no measurements and no sources', () => {
    const folders = new Set(paths.filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
    expect(folders).toEqual(new Set(['bin', 'dist', 'docs', 'examples', 'licenses', 'models', 'prompts']));
  });
});

/**
 * onnxruntime-node's install step fetches CUDA libraries, which minigpt does not use, and fails the whole installation where they cannot be
 * fetched. npm 11.16 and newer read the denial in package.json. Older ones run what package-lock.json marks with `hasInstallScript`, and npm
 * writes that mark again when onnxruntime-node is updated.
 */
describe('installing a copy of the repository runs no step of a dependency', () => {
  test('package.json denies that of onnxruntime-node', () => {
    const { allowScripts } = readJson('package.json') as { allowScripts: Record<string, boolean> };
    expect(allowScripts).toEqual({ 'onnxruntime-node': false });
  });

  test('package-lock.json marks none: where this fails after an update, take the line "hasInstallScript" out again', () => {
    const { packages } = readJson('package-lock.json') as { packages: Record<string, { hasInstallScript?: boolean }> };
    expect(Object.keys(packages)).toContain('node_modules/onnxruntime-node');
    const marked = Object.keys(packages).filter((path) => packages[path]?.hasInstallScript !== undefined);
    expect(marked).toEqual([]);
  });
});
