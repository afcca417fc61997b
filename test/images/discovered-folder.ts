/** A working folder of a test's own, and discovery in it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { beforeEach, onTestFinished } from 'vitest';
import { discoverImages, type DiscoverInputs, type Discovery } from '../../src/images/discover.ts';
import { systemFiles, type FileSystem } from '../../src/images/discovery/file-system.ts';
import { temporaryFolder } from './fixture-images.ts';

export const onWindows = process.platform === 'win32';

/** Begins each test of the file in an empty folder, and gives a function that names it. */
export function inEmptyFolder(): () => string {
  let root: string;
  beforeEach(async () => {
    root = await temporaryFolder();
    const before = process.cwd();
    process.chdir(root);
    onTestFinished(() => process.chdir(before));
  });
  return () => root;
}

/** Creates empty files below the test's folder; of an image with a usual ending nothing is looked at but its name. */
export async function create(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(name), { recursive: true });
    await writeFile(name, '');
  }
}

export async function discover(
  paths: DiscoverInputs['paths'],
  rest: Partial<DiscoverInputs> = {},
  files: FileSystem = systemFiles,
): Promise<Discovery> {
  return discoverImages({ paths, recursive: true, exclude: [], ...rest }, files);
}

/** The paths of the images found. */
export async function found(paths: DiscoverInputs['paths'], rest: Partial<DiscoverInputs> = {}): Promise<string[]> {
  return (await discover(paths, rest)).files.map(({ path }) => path);
}
