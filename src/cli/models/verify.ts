/** `minigpt models verify`: checks the files of a pack, or compares its numbers with those of a reference. */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { CaseCheck, GoldenReport } from '../../engine/golden/report.ts';
import { UsageError } from '../../errors.ts';
import { printable } from '../../output/printable.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { resolvePack } from '../../store/packs.ts';
import { verifyPack } from '../../store/verify.ts';
import { formatBytes } from '../terminal/byte-size.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable } from '../terminal/text-table.ts';

/** As typed. */
export type VerifyFlags = { golden?: string; atol?: number; threads?: number };

/** How many cases that differ are shown in full; the others are counted. */
const SHOWN_CASES = 5;

/** Checks a pack. The exit code is 1 if anything differs. */
export async function verifyModel(id: string, flags: VerifyFlags): Promise<void> {
  const pack = await resolvePack(id);
  if (flags.golden === undefined && flags.atol !== undefined) {
    throw new UsageError('--atol has no effect without --golden. Add --golden DIR, or leave it out.');
  }
  const ok = flags.golden === undefined ? await verifyChecksums(pack) : await verifyGolden(pack, flags.golden, flags);
  if (!ok) process.exitCode = EXIT.someFailed;
}

async function verifyChecksums(pack: Pack): Promise<boolean> {
  const checks = await verifyPack(pack);
  const rows = checks.map(({ path, expected, found, ok }) => [
    printable(path),
    found === 'missing' ? '-' : formatBytes(found.bytes),
    outcome(expected !== undefined, found === 'missing', ok),
  ]);
  const failed = checks.filter((check) => !check.ok).length;
  process.stdout.write(formatTable(['file', 'size', 'sha256'], rows));
  process.stdout.write(
    failed === 0
      ? `\n${pack.declaration.id}: all files are unchanged.\n`
      : `\n${pack.declaration.id}: ${failed} of ${checks.length} files differ. Import the model again.\n`,
  );
  return failed === 0;
}

function outcome(declared: boolean, missing: boolean, ok: boolean): string {
  if (!declared) return 'not part of the pack';
  if (missing) return 'missing';
  return ok ? 'ok' : 'differs';
}

async function verifyGolden(pack: Pack, directory: string, flags: VerifyFlags): Promise<boolean> {
  const [{ parseGolden }, { checkGolden }, { SafetensorsFile }, { toFloat32 }] = await Promise.all([
    import('../../engine/golden/record.ts'),
    import('../../engine/golden/check.ts'),
    import('../../importer/read/safetensors.ts'),
    import('../../tensor/dtype.ts'),
  ]);
  const path = join(directory, 'golden.json');
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new UsageError(
      `${path}: this file cannot be read. --golden takes a folder with golden.json and golden.safetensors.`,
      { cause },
    );
  });
  const tensors = await SafetensorsFile.open(join(directory, 'golden.safetensors'));
  try {
    const golden = parseGolden(text, path, async (name) => {
      const tensor = tensors.tensors.get(name);
      return tensor && toFloat32(await tensors.read(tensor), tensor.dtype);
    });
    if (golden.family !== pack.declaration.family) {
      throw new UsageError(
        `${path}: this record is for the family ${golden.family}, but ${pack.declaration.id} is of the family ${pack.declaration.family}.`,
      );
    }
    const report = await checkGolden(pack, golden, { threads: flags.threads ?? availableParallelism() }, flags.atol);
    return printReport(report);
  } finally {
    await tensors.close();
  }
}

function printReport(report: GoldenReport): boolean {
  const stages = report.stages.map(({ stage, elements, largest, mean, cosine, tolerance, ok }) => [
    stage,
    String(elements),
    largest.toExponential(1),
    mean.toExponential(1),
    cosine.toFixed(9),
    tolerance.toExponential(0),
    ok ? 'ok' : 'OUTSIDE',
  ]);
  process.stdout.write(formatTable(['stage', 'numbers', 'largest', 'mean', 'cosine', 'atol', ''], stages));
  const counts = report.runs.map(({ name, equal, checked }) => [
    name,
    ratio(equal, checked),
    equal === checked ? 'ok' : 'DIFFERENT',
  ]);
  process.stdout.write(`\n${formatTable(['token ids and texts', 'equal', ''], counts)}`);
  const different = distinct(report.runs.flatMap((run) => run.different));
  for (const { image, prompt, expected, received } of different.slice(0, SHOWN_CASES)) {
    const found = typeof received === 'string' ? received : `[${received.join(', ')}]`;
    process.stdout.write(
      `  ${printable(`${image}, ${prompt}`)}: expected [${expected.join(', ')}], received ${printable(found)}\n`,
    );
  }
  if (different.length > SHOWN_CASES) process.stdout.write(`  and ${different.length - SHOWN_CASES} more\n`);
  if (report.paddedRows > 0) {
    process.stdout.write(
      `not compared: the logits of ${report.paddedRows} rows at the end of the vocabulary, which the record does not have (padding), and the scores of beams, in which they have a share\n`,
    );
  }
  for (const [options, cases] of report.notRun) {
    process.stdout.write(`not run: ${cases} cases with ${options}, because this version does not support it\n`);
  }
  return report.stages.every((stage) => stage.ok) && different.length === 0;
}

/** Each difference once, although several runs may show it. */
function distinct(checks: readonly CaseCheck[]): CaseCheck[] {
  const keyed = new Map(checks.map((check) => [JSON.stringify(check), check]));
  return [...keyed.values()];
}

function ratio(equal: number, checked: number): string {
  const share = checked === 0 ? '' : ` (${((100 * equal) / checked).toFixed(1)} %)`;
  return `${equal} of ${checked}${share}`;
}
