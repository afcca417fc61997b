/** `minigpt models …`: lists, shows, imports, downloads, removes and checks packs. Each command is loaded when it is used. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { FAMILIES, PRECISIONS, type Family, type Precision } from '../../pack/model-declaration.ts';
import { addHelpEnd } from '../help/layout.ts';
import { wholeNumber } from '../options/numbers.ts';
import type { ImportFlags } from './import.ts';
import type { PullFlags } from './pull.ts';
import type { RemoveFlags } from './rm.ts';
import type { VerifyFlags } from './verify.ts';

/** Adds the subcommands to `minigpt models`. */
export function completeModelsCommand(models: Command): void {
  models
    .description('Lists, shows, downloads, imports, checks and removes models. An installed model is called a pack.')
    .helpCommand('help [command]', 'show the help of a command');
  addHelpEnd(models, EXAMPLES.models, ['"minigpt help models COMMAND" shows the options and examples of one command.']);
  addListCommand(models);
  addShowCommand(models);
  addPullCommand(models);
  addImportCommand(models);
  addVerifyCommand(models);
  addRemoveCommand(models);
}

function addListCommand(models: Command): void {
  const command = models
    .command('list')
    .summary('list the packs on this computer')
    .description('Lists the packs on this computer, or the published models that can be downloaded.')
    .option('--available', 'list the published models that "minigpt models pull" can download by id')
    .action(async ({ available }: { available?: boolean }) => {
      const { listAvailableModels, listModels } = await import('./list.ts');
      await (available === true ? listAvailableModels() : listModels());
    });
  addHelpEnd(command, EXAMPLES.list);
}

function addShowCommand(models: Command): void {
  const command = models
    .command('show')
    .summary('show the details of a pack')
    .description('Shows what a pack is, its presets, how its weights are stored and where it came from.')
    .argument('<id>', 'id or folder of a pack')
    .action(async (id: string) => (await import('./list.ts')).showModel(id));
  addHelpEnd(command, EXAMPLES.show);
}

function addPullCommand(models: Command): void {
  const command = models
    .command('pull')
    .summary('download a published model and import it')
    .description(
      'Downloads a published model and imports it. The downloaded files are kept. After an interruption, the same command continues the download.',
    )
    .argument('<id>', 'id from "minigpt models list --available", or a repository of the Hugging Face hub as org/name')
    .option('--as <id>', 'id of the new pack (default: the given id, or the name of the repository)')
    .addOption(new Option('--precision <name>', PRECISION_HELP).choices(PRECISIONS).default(undefined, 'fp32'))
    .option('--revision <name>', 'branch, tag or commit of the repository (default: main)')
    .action(async (id: string, flags: PullFlags) => {
      const [{ pullModel }, { importModel }] = await Promise.all([import('./pull.ts'), import('./import.ts')]);
      await pullModel(id, flags, importModel);
    });
  addHelpEnd(command, EXAMPLES.pull, [
    'These environment variables are used: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.',
  ]);
}

function addImportCommand(models: Command): void {
  const command = models
    .command('import')
    .summary('make a pack from checkpoint files on this computer')
    .description(
      'Makes a pack from published checkpoints on this computer. If several contain the same tensor, config or tokenizer, the last one is used. A LoRA adapter goes behind its base.',
    )
    .argument(
      '<source...>',
      'folders with config.json, weights and tokenizer, LoRA adapters of PEFT, or single .pth, .bin or .safetensors files',
    )
    .requiredOption('--as <id>', 'id of the new pack; required')
    .addOption(new Option('--precision <name>', PRECISION_HELP).choices(PRECISIONS).default('fp32'))
    .addOption(
      new Option('--family <name>', 'model family').choices(FAMILIES).default(undefined, 'recognised from the sources'),
    )
    .option(
      '--config <file>',
      'JSON file with sizes that the tensors do not show, with the keys of Hugging Face configs',
    )
    .option('--allow-unused', 'leave out tensors with unknown names instead of refusing the checkpoint')
    .action(async (sources: string[], flags: ImportFlags) => (await import('./import.ts')).importModel(sources, flags));
  addHelpEnd(command, EXAMPLES.import);
}

function addVerifyCommand(models: Command): void {
  const command = models
    .command('verify')
    .summary('check the files of a pack')
    .description(
      'Checks the files of a pack by their checksums, or compares the results of a pack with those of a reference.',
    )
    .argument('<id>', 'id or folder of a pack')
    .option(
      '--golden <dir>',
      'run the pack and compare each stage with golden.json and golden.safetensors in this folder',
    )
    .option(
      '--atol <number>',
      'with --golden: largest allowed difference in every stage (default: as golden.json states)',
      parseTolerance,
    )
    .option('--threads <n>', 'with --golden: number of CPU threads (default: one per core)', wholeNumber(1, 1024))
    .action(async (id: string, flags: VerifyFlags) => (await import('./verify.ts')).verifyModel(id, flags));
  addHelpEnd(command, EXAMPLES.verify);
}

function addRemoveCommand(models: Command): void {
  const command = models
    .command('rm')
    .summary('remove a pack')
    .description('Removes a pack that you imported or downloaded.')
    .argument('<id>', 'id of the pack')
    .option('-y, --yes', 'remove it without asking')
    .action(async (id: string, flags: RemoveFlags) => (await import('./rm.ts')).removeModel(id, flags));
  addHelpEnd(command, EXAMPLES.rm);
}

const PRECISION_HELP = 'how the weights are stored; int8 and int4 are also used to compute';

const EXAMPLES = {
  models: [
    'minigpt models list',
    'minigpt models list --available',
    'minigpt models pull blip2-opt-2.7b --precision int8',
  ],
  list: ['minigpt models list', 'minigpt models list --available'],
  show: ['minigpt models show nano', 'minigpt models show ./my-pack'],
  pull: [
    'minigpt models pull blip2-opt-2.7b --precision int8',
    'minigpt models pull Salesforce/blip2-opt-2.7b --as blip2 --precision fp16',
  ],
  import: [
    'minigpt models import ./blip2-opt-2.7b --as my-blip2 --precision int8',
    'minigpt models import eva_vit_g.pth blip2_pretrained_flant5xxl.pth \\',
    '  ./vicuna-7b prerained_minigpt4_7b.pth --as my-minigpt4',
  ],
  verify: ['minigpt models verify nano', 'minigpt models verify my-blip2 --golden ./hf-blip2-opt'],
  rm: ['minigpt models rm my-blip2', 'minigpt models rm my-blip2 --yes'],
} as const;

function parseTolerance(value: string): number {
  const number = Number(value);
  if (value.trim() !== '' && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError('It should be a number of at least 0, such as 1e-4.');
}
