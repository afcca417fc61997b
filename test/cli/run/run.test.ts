import { parse } from 'csv-parse/sync';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lastLine, minigpt, photos, placePhoto, records, shell, temporaryFolder } from '../binary.ts';

let folder = '';

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Photographs with names that sort in the order they are made. */
function placePhotos(under: string, count: number): string[] {
  const paths = Array.from({ length: count }, (_, index) => `${under}/${String(index).padStart(3, '0')}.jpg`);
  for (const [index, path] of paths.entries()) placePhoto(join(folder, path), index);
  return paths;
}

describe('with the embedded model', () => {
  test('a folder becomes one caption per image, in order, and nothing else on stdout', async () => {
    const paths = placePhotos('photos', photos.length);
    const { stdout, stderr, code } = await minigpt(folder, ['caption', 'photos']);
    expect(records(stdout)).toEqual(
      paths.map((image) => ({ schema: 1, image, caption: expect.stringMatching(/^[a-z][a-z' ,.-]+$/) })),
    );
    expect(stderr).toMatch(
      new RegExp(`^minigpt: ${photos.length} images captioned in [0-9.]+ s \\([0-9.]+ images/s\\)\\.\n$`),
    );
    expect(code).toBe(0);
  });

  test('several questions give one answer each, with options before and after the paths', async () => {
    placePhotos('photos', 2);
    const run = [
      'ask',
      '-q',
      'What is it?',
      'photos/000.jpg',
      '-q',
      'Is it - really - a cat?',
      'photos/001.jpg',
      '--quiet',
    ];
    const { stdout, stderr, code } = await minigpt(folder, run);
    const expected = ['photos/000.jpg', 'photos/001.jpg'].flatMap((image) =>
      ['What is it?', 'Is it - really - a cat?'].map((question) => ({
        schema: 1,
        image,
        question,
        answer: expect.any(String),
      })),
    );
    expect(records(stdout)).toEqual(expected);
    expect([stderr, code]).toEqual(['', 0]);
  });

  test('--show-prompt tells each prompt once, on stderr', async () => {
    placePhotos('photos', 2);
    const { stdout, stderr } = await minigpt(folder, [
      'ask',
      'photos',
      '-q',
      'Who?',
      '-q',
      'Who?',
      '--show-prompt',
      '--quiet',
    ]);
    expect(stderr).toBe('minigpt: prompt "<image>Question: Who? Answer:"\n');
    expect(records(stdout)).toHaveLength(4);
  });

  test('--details', async () => {
    placePhotos('photos', 1);
    const { stdout } = await minigpt(folder, [
      'caption',
      'photos',
      '--details',
      '--prompt',
      'a photo of',
      '--max-new-tokens',
      '3',
    ]);
    const [record] = records(stdout);
    expect(record).toMatchObject({
      model: expect.stringMatching(/^nano@[0-9a-f]{12}$/),
      prompt: '<image>a photo of',
      finishReason: 'length',
    });
    expect(record?.['tokenIds']).toHaveLength(3);
    expect(record?.['score']).toBeLessThan(0);
    expect(record?.['seconds']).toBeGreaterThan(0);
  });

  test('CSV on stdout and in a file is the same, and reads back', async () => {
    placePhotos('photos', 3);
    const { stdout } = await shell(folder, 'minigpt caption photos --format csv > out.csv');
    expect(stdout).toBe('');
    await minigpt(folder, ['caption', 'photos', '-o', 'file.csv']);
    const text = readFileSync(join(folder, 'out.csv'), 'utf8');
    expect(readFileSync(join(folder, 'file.csv'), 'utf8')).toBe(text);
    const rows: unknown = parse(text, { columns: true });
    expect(rows).toEqual(
      ['000', '001', '002'].map((name) => ({
        image: `photos/${name}.jpg`,
        caption: expect.stringMatching(/\w/),
        error: '',
      })),
    );
  });

  test('-o writes what stdout would have got', async () => {
    placePhotos('photos', 3);
    const { stdout } = await minigpt(folder, ['caption', 'photos']);
    const run = await minigpt(folder, ['caption', 'photos', '-o', 'x.jsonl']);
    expect([run.stdout, run.code]).toEqual(['', 0]);
    expect(readFileSync(join(folder, 'x.jsonl'), 'utf8')).toBe(stdout);
  });

  test.skipIf(process.platform === 'win32')(
    'brackets, spaces, Unicode, dashes and newlines in names are names',
    async () => {
      const paths = ['-dash.jpg', 'a "quoted", name.jpg', 'two\nlines.jpg', 'Été [2024] (copy)*/猫 🐱.jpg'];
      for (const [index, path] of paths.entries()) placePhoto(join(folder, 'in', path), index);
      const { stdout, code } = await minigpt(join(folder, 'in'), ['caption', '--format', 'jsonl', '--', ...paths]);
      expect(code).toBe(0);
      expect(records(stdout).map((record) => record['image'])).toEqual(paths);

      const text = await minigpt(join(folder, 'in'), ['caption', 'two\nlines.jpg', '--format', 'text', '--quiet']);
      expect(text.stdout).toMatch(/^two\\nlines\.jpg: [^\n]+\n$/);
      const csv = await minigpt(join(folder, 'in'), [
        'caption',
        'two\nlines.jpg',
        'a "quoted", name.jpg',
        '--format',
        'csv',
      ]);
      const rows: { image: string }[] = parse(csv.stdout, { columns: true });
      expect(rows.map(({ image }) => image)).toEqual(['a "quoted", name.jpg', 'two\nlines.jpg']);
    },
  );

  test('lists come from stdin, separated by newlines or NUL', async () => {
    const paths = placePhotos('photos', 3);
    const lines = await minigpt(folder, ['caption', '--files-from', '-'], `${paths[2]}\n${paths[0]}\n`);
    expect(records(lines.stdout).map((record) => record['image'])).toEqual([paths[0], paths[2]]);
    const nul = await minigpt(folder, ['caption', '--files-from', '-', '-0'], `${paths[1]}\0`);
    expect(records(nul.stdout).map((record) => record['image'])).toEqual([paths[1]]);
  });

  test('broken files among others have their own records, in order, and the same bytes in every batch size', async () => {
    const paths = placePhotos('photos', 20);
    writeFileSync(join(folder, 'photos/002.jpg'), '');
    truncateSync(join(folder, 'photos/005.jpg'), 5000);
    writeFileSync(join(folder, 'photos/009.jpg'), 'this is no image');
    writeFileSync(join(folder, 'photos/013.png'), readFileSync(join(folder, 'photos/012.jpg')).subarray(0, 40));
    mkdirSync(join(folder, 'list'));
    const named = [...paths, 'photos/013.png', 'photos/gone.jpg'];
    const run = ['caption', ...named];

    const alone = await minigpt(folder, [...run, '--batch-size', '1']);
    expect(alone.code).toBe(1);
    const found = records(alone.stdout);
    expect(found.map((record) => record['image'])).toEqual(named.toSorted());
    const failures = found.filter((record) => 'error' in record);
    expect(failures.map(({ image, error }) => [image, (error as { code: string }).code])).toEqual([
      ['photos/002.jpg', 'empty-file'],
      ['photos/005.jpg', 'truncated-image'],
      ['photos/009.jpg', expect.stringMatching(/unsupported-format|unreadable-image/)],
      ['photos/013.png', expect.stringMatching(/truncated-image|unreadable-image/)],
      ['photos/gone.jpg', 'file-not-found'],
    ]);
    for (const { image, error } of failures) {
      expect(alone.stderr).toContain(`minigpt: ${String(image)}: ${(error as { message: string }).message}\n`);
    }
    expect(lastLine(alone.stderr)).toMatch(/^minigpt: 17 images captioned, 5 failed, in /);

    const batched = await minigpt(folder, [...run, '--batch-size', '16']);
    expect(batched.stdout).toBe(alone.stdout);
    expect(batched.code).toBe(1);
  });

  test('a folder without a single good image still ends with a record each', async () => {
    mkdirSync(join(folder, 'photos'));
    writeFileSync(join(folder, 'photos/a.jpg'), '');
    const { stdout, stderr, code } = await minigpt(folder, ['ask', 'photos', '-q', 'Who?', '-q', 'Where?']);
    expect(records(stdout)).toMatchObject([
      { image: 'photos/a.jpg', question: 'Who?', error: { code: 'empty-file' } },
      { image: 'photos/a.jpg', question: 'Where?', error: { code: 'empty-file' } },
    ]);
    expect(stderr.split('\n')).toHaveLength(3);
    expect(lastLine(stderr)).toMatch(/^minigpt: 0 images answered, 1 failed, in /);
    expect(code).toBe(1);
  });
});
