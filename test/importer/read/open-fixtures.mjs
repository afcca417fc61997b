/**
 * Opens checkpoint files with the built program and reads all their tensors, as a program of its own: a test runs it with little memory and
 * without the right to write or to start anything. Prints one line of JSON per file.
 *
 *     node open-fixtures.mjs DIST_URL FOLDER FILE…
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';

const [dist = '', folder = '', ...files] = process.argv.slice(2);
const { CheckpointSource } = await import(new URL('importer/read/checkpoint-source.js', dist).href);

for (const file of files) {
  const path = join(folder, file);
  /** @type {Record<string, string>} */
  const tensors = {};
  let fault = 'none';
  try {
    const source = await CheckpointSource.open(path.endsWith('.index.json') ? dirname(path) : path);
    for (const [name, { tensor, file: holder }] of source.tensors) {
      tensors[name] = createHash('sha256')
        .update(await holder.read(tensor))
        .digest('hex');
    }
    await source.close();
  } catch (error) {
    fault = error.fault ?? String(error);
  }
  process.stdout.write(`${JSON.stringify({ file, fault, tensors })}\n`);
}
