/** `minigpt models …`: what packs are here, making one from a checkpoint, checking one. Each command's work is loaded when it is used. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { PRECISIONS, type Precision } from '../pack/model-declaration.ts';
import { wholeNumber } from './whole-number.ts';

export type ImportFlags = { as: string; precision: Precision };
export type VerifyFlags = { golden?: string; atol?: number; threads?: number };

/** Adds the subcommands to `minigpt models`. */
export function addModelsCommands(models: Command): void {
  models
    .command('list')
    .description('list the model packs that are here')
    .action(async () => (await import('./models-list.ts')).listModels());

  models
    .command('show')
    .description('show what a pack is, how it is stored and where it came from')
    .argument('<id>', 'id or folder of a pack')
    .action(async (id: string) => (await import('./models-list.ts')).showModel(id));

  models
    .command('import')
    .description('make a model pack from a published checkpoint')
    .argument('<source>', 'folder with config.json, safetensors and tokenizer files')
    .requiredOption('--as <id>', 'the id of the new pack')
    .addOption(
      new Option('--precision <name>', 'how weights are stored; the arithmetic is float32 in every case')
        .choices(PRECISIONS)
        .default('fp32'),
    )
    .addHelpText('after', '\nExample:\n  minigpt models import ./blip2-opt-2.7b --as blip2-opt-2.7b\n')
    .action(async (source: string, flags: ImportFlags) =>
      (await import('./models-import.ts')).importModel(source, flags),
    );

  models
    .command('verify')
    .description('recompute the checksums of a pack, or compare it with reference numbers')
    .argument('<id>', 'id or folder of a pack')
    .option('--golden <dir>', 'folder with golden.json and golden.safetensors: run the pack and compare every stage')
    .option(
      '--atol <number>',
      'largest difference allowed in every stage (default: as golden.json states)',
      parseTolerance,
    )
    .option('--threads <n>', 'threads of the arithmetic (default: one per core)', wholeNumber(1, 1024))
    .addHelpText(
      'after',
      '\nExamples:\n  minigpt models verify nano\n  minigpt models verify tiny --golden ./hf-blip2-opt\n',
    )
    .action(async (id: string, flags: VerifyFlags) => (await import('./models-verify.ts')).verifyModel(id, flags));
}

function parseTolerance(value: string): number {
  const number = Number(value);
  if (value.trim() !== '' && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError('It should be a number of at least 0, such as 1e-4.');
}
