/** `minigpt models …`: what packs are here, fetching, importing, checking and removing one. Each command's work is loaded when it is used. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { FAMILIES, PRECISIONS, type Family, type Precision } from '../../pack/model-declaration.ts';
import { wholeNumber } from '../options/numbers.ts';
import type { ImportFlags } from './import.ts';
import type { PullFlags } from './pull.ts';
import type { RemoveFlags } from './rm.ts';
import type { VerifyFlags } from './verify.ts';

/** Adds the subcommands to `minigpt models`. */
export function completeModelsCommand(models: Command): void {
  models
    .command('list')
    .description('list the model packs that are here')
    .option('--available', 'list the published models that "models pull" knows by an id instead')
    .action(async ({ available }: { available?: boolean }) => {
      const { listAvailableModels, listModels } = await import('./list.ts');
      await (available === true ? listAvailableModels() : listModels());
    });

  models
    .command('show')
    .description('show what a pack is, how it is stored and where it came from')
    .argument('<id>', 'id or folder of a pack')
    .action(async (id: string) => (await import('./list.ts')).showModel(id));

  models
    .command('import')
    .description('make a model pack from published checkpoints, laid over each other in the order given')
    .argument(
      '<source...>',
      'folders with config.json, weights and tokenizer, and single .pth, .bin or .safetensors files',
    )
    .requiredOption('--as <id>', 'the id of the new pack')
    .addOption(
      new Option('--precision <name>', 'how weights are stored, and computed with where that is int8 or int4')
        .choices(PRECISIONS)
        .default('fp32'),
    )
    .addOption(new Option('--family <name>', 'the family (default: found out from the sources)').choices(FAMILIES))
    .option('--config <file>', 'JSON file with sizes that no tensor reveals, in the keys of Hugging Face configs')
    .option('--allow-unused', 'leave out tensors of unknown names instead of refusing the checkpoint')
    .addHelpText(
      'after',
      '\nExamples:\n  minigpt models import ./blip2-opt-2.7b --as blip2-opt-2.7b --precision int8\n' +
        '  minigpt models import eva_vit_g.pth blip2_pretrained_flant5xxl.pth ./vicuna-7b prerained_minigpt4_7b.pth --as minigpt4\n',
    )
    .action(async (sources: string[], flags: ImportFlags) => (await import('./import.ts')).importModel(sources, flags));

  models
    .command('pull')
    .description('fetch a published model and import it; what was fetched is kept, and an interrupted download goes on')
    .argument('<id>', 'an id of "models list --available", or a repository of the Hugging Face hub as org/name')
    .option('--as <id>', 'the id of the new pack (default: the id, or the name of the repository)')
    .addOption(new Option('--precision <name>', 'as for "models import" (default: fp32)').choices(PRECISIONS))
    .option('--revision <name>', 'branch, tag or commit of the repository (default: main)')
    .addHelpText(
      'after',
      '\nExamples:\n  minigpt models pull blip2-opt-2.7b\n  minigpt models pull Salesforce/blip2-opt-2.7b --as blip2 --precision fp16\n' +
        '\nVariables: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.\n',
    )
    .action(async (id: string, flags: PullFlags) => {
      const [{ pullModel }, { importModel }] = await Promise.all([import('./pull.ts'), import('./import.ts')]);
      await pullModel(id, flags, importModel);
    });

  models
    .command('rm')
    .description('remove a pack of your own')
    .argument('<id>', 'id of the pack')
    .option('-y, --yes', 'remove it without asking')
    .addHelpText('after', '\nExample:\n  minigpt models rm blip2-opt-2.7b\n')
    .action(async (id: string, flags: RemoveFlags) => (await import('./rm.ts')).removeModel(id, flags));

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
    .action(async (id: string, flags: VerifyFlags) => (await import('./verify.ts')).verifyModel(id, flags));
}

function parseTolerance(value: string): number {
  const number = Number(value);
  if (value.trim() !== '' && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError('It should be a number of at least 0, such as 1e-4.');
}
