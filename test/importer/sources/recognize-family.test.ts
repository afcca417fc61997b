/** Which parts make which family. That whole checkpoints are recognised is shown with the fixtures in test/golden. */
import { describe, expect, test } from 'vitest';
import { LLAMA } from '../../../src/importer/architectures/llama.ts';
import { OPT } from '../../../src/importer/architectures/opt.ts';
import { PHI } from '../../../src/importer/architectures/phi.ts';
import { T5 } from '../../../src/importer/architectures/t5.ts';
import type { FoundParts } from '../../../src/importer/families/family-traits.ts';
import { familyOfParts } from '../../../src/importer/sources/recognize-family.ts';

const QFORMER = 'Qformer.bert.encoder.layer.0.attention.self.query.weight';
const TEXT = 'Qformer.bert.embeddings.word_embeddings.weight';
const MATCHING = 'itm_head.weight';
const SECOND = 'llama_proj2.weight';
const LORA = 'llama_model.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';

type Found = Partial<Omit<FoundParts, 'has'>> & { tensors?: string[] };

function partsOf({ language, projection, arch, tensors = [] }: Found): FoundParts {
  return { language, projection, arch, has: (name) => tensors.some((tensor) => name.test(tensor)) };
}

describe('parts', () => {
  test.each<[string, Found]>([
    ['blip2-opt', { projection: 'opt_proj', language: OPT, tensors: [QFORMER] }],
    ['blip2-t5', { projection: 't5_proj', language: T5, tensors: [QFORMER] }],
    ['blip2-t5', { projection: 't5_proj', language: T5, tensors: [QFORMER, TEXT, MATCHING] }],
    ['instructblip-t5', { projection: 't5_proj', language: T5, tensors: [QFORMER, TEXT] }],
    ['instructblip-vicuna', { projection: 'llm_proj', language: LLAMA, tensors: [QFORMER, TEXT] }],
    ['blip2-itm', { tensors: [QFORMER, TEXT, MATCHING] }],
    ['minigpt4-vicuna', { projection: 'llama_proj', language: LLAMA, tensors: [QFORMER] }],
    ['minigpt4-llama2', { projection: 'llama_proj', language: LLAMA }],
    ['minigpt4-llama2', { projection: 'llama_proj', language: LLAMA, arch: 'mini_gpt4' }],
    ['minigpt-v2', { projection: 'llama_proj', language: LLAMA, arch: 'minigpt_v2' }],
    ['minigpt-v2', { projection: 'llama_proj', language: LLAMA, tensors: [LORA] }],
    ['tinygpt-v', { projection: 'llama_proj', language: PHI, tensors: [QFORMER] }],
    ['tinygpt-v', { projection: 'llama_proj', tensors: [QFORMER, SECOND, LORA], arch: 'mini_gpt4' }],
    ['tinygpt-v-stage4', { projection: 'llama_proj', language: PHI, tensors: [QFORMER, LORA], arch: 'minigpt_v2' }],
  ])('make %s: %o', (family, found) => {
    expect(familyOfParts(partsOf(found))).toBe(family);
  });

  test.each<[string, Found]>([
    ['a language model alone', { language: OPT }],
    ['a Q-Former without projection or matching heads', { tensors: [QFORMER] }],
    ['matching heads beside a language model', { language: OPT, tensors: [QFORMER, MATCHING] }],
    ['a projection that nobody has', { projection: 'qwen_proj', tensors: [QFORMER] }],
  ])('make no family: %s', (_, found) => {
    expect(familyOfParts(partsOf(found))).toBeUndefined();
  });

  test('of another language model than the family has are recognised all the same, so that the language model can be named as wrong', () => {
    expect(familyOfParts(partsOf({ projection: 'opt_proj', language: T5 }))).toBe('blip2-opt');
  });
});
