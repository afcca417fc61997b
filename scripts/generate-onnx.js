/**
 * Writes src/importer/graph/generated/onnx_pb.ts from the onnx.proto beside it, the schema of ONNX files.
 *
 *     node scripts/generate-onnx.js
 *
 * Needed only when onnx.proto is replaced by a newer one: it is onnx/onnx.proto of the Python package `onnx`. Needs Node 22 and the package
 * registry: compiler and generator are fetched for this one run, so that they weigh on no installation. The generator has the version of
 * @bufbuild/protobuf, which the generated code calls.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of the onnx.proto that lies there. */
const ONNX_VERSION = '1.23.2';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'src/importer/graph/generated');
const GENERATED = join(FOLDER, 'onnx_pb.ts');

const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
const generatorVersion = lock.packages['node_modules/@bufbuild/protobuf'].version;

const temporary = mkdtempSync(join(tmpdir(), 'minigpt-onnx-'));
try {
  // Lists of numbers are written packed, without a tag before each number. Readers of protobuf take both; packs hold the shorter one.
  const published = readFileSync(join(FOLDER, 'onnx.proto'), 'utf8');
  const packed = published.replaceAll(/^(\s*repeated (?:float|int64) \w+ = \d+);/gm, '$1 [packed = true];');
  writeFileSync(join(temporary, 'onnx.proto'), packed);

  // Without its comments, which can be read in onnx.proto itself.
  const image = join(temporary, 'onnx.binpb');
  buf('build', temporary, '--exclude-source-info', '--output', image);
  const options = ['target=ts', 'import_extension=none', 'erasable_syntax=true'];
  const plugins = [{ local: 'protoc-gen-es', out: FOLDER, opt: options }];
  buf('generate', image, '--template', JSON.stringify({ version: 'v2', plugins }));
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

const origin = `// onnx.proto of ONNX ${ONNX_VERSION}, Apache License 2.0 (licenses/onnx.txt), by scripts/generate-onnx.js.\n`;
writeFileSync(GENERATED, origin + readFileSync(GENERATED, 'utf8'));
execFileSync('npx', ['prettier', '--write', GENERATED], { cwd: ROOT, stdio: 'inherit' });

function buf(...args) {
  const packages = ['--package=@bufbuild/buf@1.75.0', `--package=@bufbuild/protoc-gen-es@${generatorVersion}`];
  execFileSync('npm', ['exec', '--yes', ...packages, '--', 'buf', ...args], { cwd: ROOT, stdio: 'inherit' });
}
