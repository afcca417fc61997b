#!/usr/bin/env node
/**
 * Starts the compiled program. Node reads this file before it can say that it is too old for the rest, so the file keeps to what Node 12
 * understands, and imports nothing else before the version is checked.
 */
import { existsSync, readFileSync } from 'fs';

const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const needed = engines.node.replace('>=', '');
const compiled = new URL('../dist/cli/main.js', import.meta.url);

if (isOlder(process.versions.node, needed)) {
  refuse(
    `this is Node ${process.versions.node}, and Node ${needed} or newer is needed. Install one from https://nodejs.org`,
  );
} else if (!existsSync(compiled)) {
  refuse('this copy is not built yet. Run: npm install && npm run build');
} else {
  void import(compiled.href).then(({ main }) => main(process.argv.slice(2)));
}

/** Whether a version is below another one; what the other one leaves out counts as 0. */
function isOlder(version, other) {
  const [numbers, others] = [version, other].map((text) => text.split('.').map(Number));
  const differing = numbers.findIndex((number, place) => number !== (others[place] || 0));
  return differing >= 0 && numbers[differing] < (others[differing] || 0);
}

function refuse(reason) {
  process.stderr.write(`minigpt: ${reason}\n`);
  process.exitCode = 2;
}
