#!/usr/bin/env node
import { existsSync } from 'node:fs';

const compiled = new URL('../dist/cli/main.js', import.meta.url);

if (existsSync(compiled)) {
  const { main } = await import(compiled.href);
  await main(process.argv.slice(2));
} else {
  process.stderr.write('minigpt: this copy is not built yet. Run: npm install && npm run build\n');
  process.exitCode = 2;
}
