/** `minigpt models list` and `show`: packs on this computer, and models that can be downloaded. Only model.json is read, no weights. */
import { downloadBytes, listKnownModels } from '../../store/known-models.ts';
import { listPacks, resolvePack } from '../../store/packs.ts';
import { formatBytes } from '../terminal/byte-size.ts';
import { printable } from '../../output/printable.ts';
import type { ModelDeclaration, Precision } from '../../pack/model-declaration.ts';
import { loadPromptFamily } from '../../prompt/prompt-family.ts';
import { describeSettings } from '../options/preset.ts';
import { formatTable } from '../terminal/text-table.ts';

/** Prints one line per pack, the embedded one included. A damaged pack is listed with what is wrong. */
export async function listModels(): Promise<void> {
  const rows = (await listPacks()).map(({ id, pack, bytes, embedded, directory, error }) => [
    printable(id),
    pack?.declaration.family ?? '-',
    pack?.declaration.precision ?? '-',
    formatBytes(bytes),
    error === undefined ? (embedded ? 'embedded' : printable(directory)) : printable(error),
  ]);
  process.stdout.write(formatTable(['id', 'family', 'stored as', 'size', 'where'], rows));
}

/** Prints one line per published model that `models pull` knows by an id. Works without a network. */
export async function listAvailableModels(): Promise<void> {
  const here = new Set((await listPacks()).map(({ id }) => id));
  const rows = (await listKnownModels()).map((model) => {
    const bytes = downloadBytes(model);
    const size = bytes === undefined ? '-' : formatBytes(bytes);
    return [model.id, model.family, size, here.has(model.id) ? 'yes' : 'no', model.licence];
  });
  process.stdout.write(formatTable(['id', 'family', 'download', 'here', 'licence'], rows));
}

/** How each precision is stored and computed. */
const ARITHMETIC: Readonly<Record<Precision, string>> = {
  fp32: 'fp32',
  fp16: 'fp16 on disk, computed in fp32',
  int12: 'int12 on disk, computed in fp32',
  int8: 'int8: linear layers are computed with whole numbers, row by row; the rest in fp32',
  int4: 'int4: linear layers of the language model in blocks of 4 bits, others in int8; the rest in fp32',
};

/** The presets of a pack, one per line, with their settings for its language model. */
async function presetFacts({ promptFamily, language }: ModelDeclaration): Promise<[string, string][]> {
  if (promptFamily === undefined || language === undefined) return [];
  const { presets } = await loadPromptFamily(promptFamily);
  return presets.map((preset, index) => [
    index === 0 ? 'presets' : '',
    `${preset.name} (${preset.tasks.join(', ')}): ${describeSettings(preset.settingsFor(language.kind))}`,
  ]);
}

/** Prints the details of a pack. */
export async function showModel(id: string): Promise<void> {
  const { declaration, directory, digest } = await resolvePack(id);
  const { image, language } = declaration;
  const facts: [string, string][] = [
    ['id', declaration.id],
    ['family', declaration.family],
    ['digest', digest],
    ['folder', printable(directory)],
    ['prompts', declaration.promptFamily ?? 'none'],
    ['precision', ARITHMETIC[declaration.precision]],
    ['image', `${image.imageSize} x ${image.imageSize} pixels`],
    ['image tokens', String(declaration.numImageTokens)],
  ];
  if (language !== undefined) {
    facts.push(
      [
        'language',
        `${language.kind}, ${language.numHiddenLayers} layers of ${language.hiddenSize}, ${language.numAttentionHeads} heads, ${language.vocabSize} tokens, ${language.maxPositionEmbeddings} positions`,
      ],
      ['ends with', `token ${language.eosTokenIds.join(' or ')}`],
    );
  }
  facts.push(...(await presetFacts(declaration)));
  if (declaration.matching.length > 0) facts.push(['heads', declaration.matching.join(', ')]);
  const width = Math.max(...facts.map(([name]) => name.length));
  process.stdout.write(facts.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(''));
  const shares = declaration.storage.map(({ path, storage, weights, bytes }) => [
    printable(path),
    printable(storage),
    String(weights),
    formatBytes(bytes),
  ]);
  process.stdout.write(`\n${formatTable(['weights in', 'stored as', 'tensors', 'size'], shares)}`);
  for (const [title, files] of [
    ['files', declaration.files],
    ['made from', declaration.source.files],
  ] as const) {
    const rows = files.map((file) => [printable(file.path), formatBytes(file.bytes), file.sha256]);
    process.stdout.write(`\n${formatTable([title, 'size', 'sha256'], rows)}`);
  }
}
