// Compiles src into dist, which is emptied before: a file that was deleted from src cannot live on there.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true });

// By its file, not as `tsc`: that one has no ending, and Node 20.9 loads no ES module without one.
const compiler = fileURLToPath(new URL('../node_modules/typescript/lib/tsc.js', import.meta.url));
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: ROOT,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
