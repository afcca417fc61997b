import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BRIDGE_ARCHITECTURES } from '../../../src/importer/architectures/bridges.ts';
import { LANGUAGE_ARCHITECTURES } from '../../../src/importer/architectures/language-architectures.ts';
import { explainMissing, FAMILY_TRAITS } from '../../../src/importer/families/families.ts';
import { FAMILIES } from '../../../src/pack/model-declaration.ts';

const SRC = join(import.meta.dirname, '../../../src');
const families = FAMILIES.map((name) => ({ name, traits: FAMILY_TRAITS[name] }));

test('the families that are imported are those that run', () => {
  expect(Object.keys(FAMILY_TRAITS).toSorted()).toEqual([...FAMILIES].toSorted());
});

describe.each(families)('$name', ({ name, traits }) => {
  const { language, bridge, promptFamily, published } = traits;

  test('has a language model, a way to speak to it and a place where it is published, or none of them', () => {
    const isThere = language !== undefined;
    expect([promptFamily !== undefined, published.languageModel !== undefined]).toEqual([isThere, isThere]);
    if (isThere) expect(LANGUAGE_ARCHITECTURES).toContain(language.architecture);
  });

  test('is spoken to by a prompt file that is there', () => {
    if (promptFamily === undefined) return expect(bridge).toBe('matching');
    expect(existsSync(join(import.meta.dirname, `../../../prompts/${promptFamily}.json`))).toBe(true);
  });

  test('tells of each part where it is published', () => {
    expect(explainMissing(name, 'vision_model.encoder.layers.0.mlp.fc1.weight')).toContain('eva_vit_g.pth');
    expect(explainMissing(name, 'language_projection.weight')).toContain(published.trainedParts);
    expect(explainMissing(name, 'language_model.lm_head.weight')).toContain(
      published.languageModel ?? published.trainedParts,
    );
    if (!BRIDGE_ARCHITECTURES[bridge].hasQFormer) return;
    for (const tensor of ['query_tokens', 'qformer.layernorm.weight', 'vision_model.post_layernorm.weight'])
      expect(explainMissing(name, tensor)).toContain(published.qformer ?? published.trainedParts);
  });
});

test('no file of src but the lists and the entries names a family', () => {
  const lists = ['pack/model-declaration.ts', 'importer/families/'];
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll(sep, '/'))
    .filter((path) => path.endsWith('.ts') && !lists.some((list) => path.startsWith(list)));
  expect(files.length).toBeGreaterThan(100);
  const named = files.filter((path) => {
    const text = readFileSync(join(SRC, path), 'utf8');
    return FAMILIES.some((name) => text.includes(`'${name}'`));
  });
  expect(named).toEqual([]);
});

test('no two language architectures claim the same model_type', () => {
  const types = LANGUAGE_ARCHITECTURES.flatMap(({ modelTypes }) => modelTypes);
  expect(types).toHaveLength(new Set(types).size);
});
