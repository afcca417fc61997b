/** The table of presets in docs/decoding.md says what the prompt files say, no more and no less. */
import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { describeSettings } from '../../../src/cli/options/preset.ts';
import { LANGUAGE_KINDS } from '../../../src/pack/model-declaration.ts';
import { loadPromptFamily } from '../../../src/prompt/prompt-family.ts';

const root = new URL('../../../', import.meta.url);

/** Rows as cells: family, preset, commands, language model, settings. */
async function publishedRows(): Promise<string[][]> {
  const files = (await readdir(new URL('prompts/', root))).filter((name) => name.endsWith('.json')).toSorted();
  const rows: string[][] = [];
  for (const name of files.map((file) => file.slice(0, -'.json'.length))) {
    for (const preset of (await loadPromptFamily(name)).presets) {
      const texts = LANGUAGE_KINDS.map((kind) => describeSettings(preset.settingsFor(kind)));
      const row = (language: string, text = '') => [
        name,
        preset.name,
        preset.tasks.join(', '),
        language,
        `\`${text}\``,
      ];
      if (new Set(texts).size === 1) rows.push(row('any', texts[0]));
      else LANGUAGE_KINDS.forEach((kind, index) => rows.push(row(kind, texts[index])));
    }
  }
  return rows;
}

test('docs/decoding.md lists every preset with its settings', async () => {
  const text = await readFile(new URL('docs/decoding.md', root), 'utf8');
  const table = text.split('\n').filter((line) => /^\| (?!family)[a-z0-9-]+ +\| [a-z-]+ +\|.*`.*` +\|$/.test(line));
  const cells = table.map((line) => line.split('|').slice(1, -1));
  expect(cells.map((row) => row.map((cell) => cell.trim()))).toEqual(await publishedRows());
});
