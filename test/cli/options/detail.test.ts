import { describe, expect, test } from 'vitest';
import { chooseDetail } from '../../../src/cli/options/detail.ts';
import { loadPromptFamily } from '../../../src/prompt/prompt-family.ts';

const vicuna = await loadPromptFamily('minigpt4-vicuna');
const blip2 = await loadPromptFamily('blip2');

function instruction(seed?: number): readonly string[] | undefined {
  return chooseDetail({ detail: true, ...(seed === undefined ? {} : { seed }) }, vicuna, 'x')?.detail.instructions;
}

describe('--detail', () => {
  test('is nothing where it is not asked for', () => {
    expect(chooseDetail({ seed: 3, preset: 'demo' }, vicuna, 'x')).toBeUndefined();
  });

  test('takes one wording of the instruction, by the seed', () => {
    expect(instruction()).toEqual(['Describe this image in detail.']);
    expect(instruction(1)).toEqual(['Take a look at this image and describe what you notice.']);
    expect(instruction(4)).toEqual(instruction());
    expect(instruction(2 ** 32 - 1)).toEqual(['Could you describe the contents of this image for me?']);
  });

  test('takes all wordings, and the preset beside it', () => {
    expect(chooseDetail({ detail: true, allWordings: true, preset: 'demo' }, vicuna, 'x')).toEqual({
      detail: {
        instructions: vicuna.detail?.kind === 'instructions' ? vicuna.detail.instructions : undefined,
        goOn: { request: 'Continue', belowTokens: 80 },
      },
      preset: 'demo',
    });
  });

  test('is a preset where the model takes no instructions', () => {
    expect(chooseDetail({ detail: true }, blip2, 'x')).toEqual({
      detail: { instructions: [], goOn: undefined },
      preset: 'paper-nocaps',
    });
  });

  test('is refused where it cannot be had, or another option says otherwise', async () => {
    const qformer = { detail: undefined, presets: [] };
    expect(() => chooseDetail({ detail: true }, qformer, 'itg')).toThrow('the model itg only writes short captions');
    expect(() => chooseDetail({ allWordings: true }, vicuna, 'x')).toThrow(
      '--all-wordings has no effect without --detail',
    );
    expect(() => chooseDetail({ detail: true, allWordings: true }, blip2, 'x')).toThrow('takes no instructions');
    expect(() => chooseDetail({ detail: true, preset: 'paper-coco' }, blip2, 'x')).toThrow(
      '--preset paper-coco: for the model x, --detail already means the preset paper-nocaps. Choose one of the two.',
    );
    const instructblip = await loadPromptFamily('instructblip');
    expect(() => chooseDetail({ detail: true, preset: 'lavis-caption' }, instructblip, 'x')).toThrow(
      '--preset lavis-caption and --detail have different prompts; that of the preset is "A short image caption.". Choose one of the two.',
    );
  });
});
