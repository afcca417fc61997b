/** `--preset` through the built binary: what it sets, what wins over it, and what is refused. */
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { lastLine, minigpt, placePhoto, records, ROOT, temporaryFolder } from '../binary.ts';

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
  placePhoto(join(folder, 'a.jpg'), 0);
  placePhoto(join(folder, 'b.jpg'), 1);
});

const run = async (...args: string[]) => minigpt(folder, [...args, '--quiet']);

/** Records without what differs from run to run. */
function facts(output: string): unknown[] {
  return records(output).map(({ seconds, ...rest }) => [typeof seconds, rest]);
}

test('a preset gives what its options give, and an option beside it wins', async () => {
  const images = ['caption', 'a.jpg', 'b.jpg', '--details'];
  const preset = await run(...images, '--preset', 'paper-coco');
  const spelled = ['--prompt', 'a photo of', '--max-new-tokens', '30', '--min-new-tokens', '7'];
  const options = await run(...images, ...spelled, '--beams', '5');
  expect([preset.code, facts(preset.stdout)]).toEqual([0, facts(options.stdout)]);
  const changed = await run(...images, '--preset', 'paper-coco', '--beams', '2', '--prompt', 'an image of');
  const changedOptions = await run(...images, ...spelled, '--prompt', 'an image of', '--beams', '2');
  expect(facts(changed.stdout)).toEqual(facts(changedOptions.stdout));
  expect(changed.stdout).not.toBe(preset.stdout);
});

test('a preset puts the question as its paper does', async () => {
  const { stdout } = await run('ask', 'a.jpg', '-q', 'Where?', '--preset', 'lavis-vqa', '--details');
  expect(records(stdout)).toMatchObject([
    { prompt: '<image>Question: Where? Short answer:', beamScore: expect.any(Number) },
  ]);
});

test('the demo of MiniGPT-4 draws its answers, in captions and in a conversation', async () => {
  const fixture = join(ROOT, 'test/fixtures/minigpt4-vicuna');
  const files = ['eva_vit_g.pth', 'blip2_pretrained_flant5xxl.pth', 'vicuna', 'pretrained_minigpt4_7b.pth'];
  const sources = files.map((file) => join(fixture, file));
  const config = join(fixture, 'architecture.json');
  await minigpt(folder, ['models', 'import', ...sources, '--as', 'vicuna', '--config', config]);

  const image = ['a.jpg', '--model', 'vicuna', '--max-new-tokens', '12', '--details'];
  const preset = await run('caption', ...image, '--preset', 'demo', '--seed', '3');
  const options = ['--sample', '--top-k', '50', '--top-p', '0.9', '--repetition-penalty', '1.05', '--seed', '3'];
  const spelled = await run('caption', ...image, ...options);
  expect([preset.code, facts(preset.stdout)]).toEqual([0, facts(spelled.stdout)]);

  const talk = async (...args: string[]) => {
    const { stdout } = await minigpt(folder, ['chat', ...image, ...args], 'Who?\n');
    return records(stdout).map(({ tokenIds }) => tokenIds);
  };
  const drawn = await talk('--preset', 'demo');
  expect(drawn).toEqual([expect.any(Array)]);
  expect(await talk('--preset', 'demo')).toEqual(drawn);
  expect(await talk()).not.toEqual(drawn);
});

test('presets are listed by models show', async () => {
  const { stdout } = await minigpt(folder, ['models', 'show', 'nano']);
  expect(stdout).toMatch(/^presets +lavis-caption \(caption\): 5 beams, length penalty 1, at most 30 tokens$/m);
  expect(stdout).toMatch(/^ +paper-vqa \(ask\): question "<image>Question: \{question\} Answer:", 5 beams, .*$/m);
});

test.each([
  [['caption', 'a.jpg', '--preset', 'paper-vqa'], /Its presets for caption are lavis-caption/],
  [['ask', 'a.jpg', '-q', 'Who?', '--preset', 'x'], /Its presets for ask are lavis-vqa, paper-vqa\.$/],
  [['chat', 'a.jpg', '--preset', 'paper-coco'], /It has no presets for chat\.$/],
  [['caption', 'a.jpg', '--preset', 'paper-coco', '--seed', '1'], /--seed 1 has no effect without sampling/],
  [['caption', 'a.jpg', '--preset', 'paper-coco', '--sample', '--beams', '5'], /cannot be used together/],
])('%j is refused with exit code 2', async (args, message) => {
  const { stdout, stderr, code } = await minigpt(folder, args);
  expect([stdout, code]).toEqual(['', 2]);
  expect(lastLine(stderr)).toMatch(message);
});
