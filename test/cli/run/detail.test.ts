/** `caption --detail` through the built binary, with tiny packs that are imported once. */
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { beforeAll, describe, expect, test } from 'vitest';
import { lastLine, minigpt, photos, placePhoto, records, ROOT, temporaryFolder } from '../binary.ts';

const FIXTURES = join(ROOT, 'test/fixtures');
const COUNT = 4;
const LENGTH = ['--max-new-tokens', '12'];

let folder: string;

const run = async (...args: string[]) => minigpt(folder, args);

beforeAll(async () => {
  folder = temporaryFolder();
  for (let index = 0; index < COUNT; index++) placePhoto(join(folder, `photos/${index}.jpg`), index);
  const of = (name: string, files: string[]) => files.map((file) => join(FIXTURES, name, file));
  const vision = ['eva_vit_g.pth', 'blip2_pretrained_flant5xxl.pth'];
  const vicuna = of('minigpt4-vicuna', [...vision, 'vicuna', 'pretrained_minigpt4_7b.pth']);
  const phi = of('tinygpt-v', [...vision, 'phi-2', 'stage3/TinyGPT-V_for_Stage3.pth']);
  const imports = [
    [...vicuna, '--as', 'vicuna', '--config', join(FIXTURES, 'minigpt4-vicuna/architecture.json')],
    [...phi, '--as', 'phi', '--config', join(FIXTURES, 'tinygpt-v/stage3/architecture.json')],
  ];
  for (const sources of imports) {
    const { code, stderr } = await run('models', 'import', ...sources);
    if (code !== 0) throw new Error(stderr);
  }
}, 60_000);

/** What the model says when somebody types the request to go on. */
async function conversation(model: string, image: string): Promise<{ answer: string; tokenIds: number[] }[]> {
  const args = ['chat', image, '--model', model, '--details', ...LENGTH];
  const { stdout } = await minigpt(folder, args, 'Describe this image in detail.\nContinue\n');
  return records(stdout).map((record) => record as { answer: string; tokenIds: number[] });
}

describe.each(['vicuna', 'phi'])('with the model %s', (model) => {
  test('a description is the first answer and what the model says when asked to continue', async () => {
    const image = 'photos/0.jpg';
    const turns = await conversation(model, image);
    expect(turns).toHaveLength(2);
    const { stdout, stderr, code } = await run(
      'caption',
      image,
      '--model',
      model,
      '--detail',
      '--details',
      '--show-prompt',
      ...LENGTH,
    );
    const [record] = records(stdout);
    expect(record).toMatchObject({
      prompt: expect.stringContaining('<Img><image></Img> Describe this image in detail.###'),
      tokenIds: turns.flatMap(({ tokenIds }) => tokenIds),
    });
    // Random weights write no sentences, so nothing but a loop is taken off the end.
    expect(turns.map(({ answer }) => answer).join(' ')).toMatch(startingWith(String(record?.['caption'])));
    expect(stderr).toContain('minigpt: prompt after an answer of fewer than 80 tokens: "Continue"\n');
    expect(code).toBe(0);
  });

  test.each([[[]], [['--beams', '3']], [['--sample', '--seed', '5']], [['--preset', 'demo']]])(
    'descriptions with %j are the same in any batch',
    async (options) => {
      const args = ['caption', 'photos', '--model', model, '--detail', '--quiet', ...LENGTH, ...options];
      const alone = await run(...args, '--batch-size', '1');
      const batched = await run(...args, '--batch-size', '16');
      expect(records(alone.stdout)).toHaveLength(COUNT);
      expect(batched.stdout).toBe(alone.stdout);
    },
  );
});

test('--all-wordings gives a record for each wording, which names it', async () => {
  const args = ['caption', 'photos/0.jpg', 'photos/1.jpg', 'gone.jpg', '--model', 'vicuna', '--detail'];
  const all = await run(...args, '--all-wordings', '--quiet', ...LENGTH);
  const found = records(all.stdout);
  expect(found.map(({ image }) => image)).toEqual(
    ['gone.jpg', 'photos/0.jpg', 'photos/1.jpg'].flatMap((image) => Array<string>(4).fill(image)),
  );
  const instructions = found.slice(0, 4).map(({ instruction }) => instruction);
  expect(new Set(instructions).size).toBe(4);
  expect(found.map(({ instruction }) => instruction)).toEqual([...instructions, ...instructions, ...instructions]);
  expect(all.code).toBe(1);

  const second = await run(...args, '--seed', '1', '--quiet', ...LENGTH);
  expect(records(second.stdout).map(({ caption }) => caption)).toEqual([
    undefined,
    found[5]?.['caption'],
    found[9]?.['caption'],
  ]);

  const csv = await run(...args, '--all-wordings', '--format', 'csv', '--quiet', ...LENGTH);
  const rows: Record<string, string>[] = parse(csv.stdout, { columns: true });
  expect(Object.keys(rows[0] ?? {})).toEqual(['image', 'instruction', 'caption', 'error']);
  expect(rows.slice(4).map(({ instruction, caption }) => [instruction, caption])).toEqual(
    found.slice(4).map(({ instruction, caption }) => [instruction, caption]),
  );
});

test('a model without instructions is decoded by the preset for long captions', async () => {
  const detailed = await run('caption', 'photos', '--detail', '--details', '--quiet');
  const preset = await run('caption', 'photos', '--preset', 'paper-nocaps', '--details', '--quiet');
  expect(idsOf(detailed.stdout)).toEqual(idsOf(preset.stdout));
  expect(idsOf(detailed.stdout)).toHaveLength(Math.min(COUNT, photos.length));
});

test.each([
  [['--detail', '--prompt', 'a photo of'], /'--detail' cannot be used with option '--prompt <text>'$/],
  [['--all-wordings'], /--all-wordings has no effect without --detail/],
  [['--detail', '--all-wordings'], /takes no instructions/],
  [['--detail', '--seed', '1'], /--seed 1 has no effect without sampling/],
  [['--detail', '--all-wordings', '--seed', '1', '--model', 'vicuna'], /--seed 1 has no effect without sampling/],
])('%j is refused with exit code 2', async (options, message) => {
  const { stdout, stderr, code } = await run('caption', 'photos', ...options);
  expect([stdout, code]).toEqual(['', 2]);
  expect(lastLine(stderr)).toMatch(message);
});

function idsOf(output: string): unknown[] {
  return records(output).map(({ tokenIds }) => tokenIds);
}

function startingWith(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)}`);
}
