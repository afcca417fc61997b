/** Images as users have them, and as attackers make them, with the real program: records, messages, exit code, time, and nothing else on stderr. */
import { parse } from 'csv-parse/sync';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { minigpt, placePhoto, records, ROOT, start, temporaryFolder, type Finished } from '../binary.ts';

const FIXTURES = join(ROOT, 'test/fixtures/images');
const FEW_WORDS = ['--max-new-tokens', '2'];

let folder = '';

beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'in'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

type Outcome = { caption?: string; warnings?: string[]; error?: { code: string; message: string } };

/** Captions every file of the folder by name, whatever its ending. */
async function captioned(...options: string[]): Promise<Finished & { outcomes: Record<string, Outcome> }> {
  const files = readdirSync(join(folder, 'in')).map((name) => `in/${name}`);
  const finished = await minigpt(folder, ['caption', ...files, ...FEW_WORDS, '--progress', 'none', ...options]);
  expect(finished.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('minigpt: '))).toEqual([]);
  const written = records(finished.stdout);
  expect(written.map(({ image }) => image)).toEqual(files.toSorted());
  const outcomes = Object.fromEntries(
    written.map(({ image, ...outcome }) => [basename(String(image)), outcome as Outcome]),
  );
  return { ...finished, outcomes };
}

function place(...names: string[]): void {
  for (const name of names) copyFileSync(join(FIXTURES, name), join(folder, 'in', basename(name)));
}

const svg = (inside: string, size = 'width="1000" height="1000"'): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${size}>${inside}</svg>`;

describe('kinds of files', () => {
  test('one of each is captioned, whatever it is called', async () => {
    place('kinds/plain.heic', 'kinds/grid.heic', 'kinds/plain.jxl', 'kinds/animated.avif', 'kinds/cmyk16-alpha.tif');
    place(
      'kinds/float-heights.tif',
      'kinds/lab8.tif',
      'kinds/page-below.tif',
      'files/bmp.bmp',
      'files/gif_animated.gif',
    );
    const drawing = svg('<circle cx="8" cy="8" r="7"/>', 'width="16" height="16"');
    writeFileSync(join(folder, 'in/icon.svg'), drawing);
    writeFileSync(join(folder, 'in/packed.svgz'), gzipSync(drawing));
    writeFileSync(join(folder, 'in/wide.svg'), Buffer.from(`\uFEFF${drawing}`, 'utf16le'));
    copyFileSync(join(FIXTURES, 'files/exif_6.jpg'), join(folder, 'in/pictures.mpo'));
    copyFileSync(join(FIXTURES, 'files/rgba.png'), join(folder, 'in/moving.apng'));
    copyFileSync(join(FIXTURES, 'kinds/plain.heic'), join(folder, 'in/renamed.jpg'));
    const { outcomes, code } = await captioned();
    for (const [name, { caption }] of Object.entries(outcomes)) expect(caption, name).toBeTypeOf('string');
    expect(outcomes['wide.svg']).toEqual(outcomes['icon.svg']);
    expect(outcomes['packed.svgz']).toEqual(outcomes['icon.svg']);
    expect(outcomes['renamed.jpg']).toEqual(outcomes['plain.heic']);
    expect(code).toBe(0);
  });

  test('those that cannot be read are named, with what to do', async () => {
    place(
      'kinds/refused-preview.dng',
      'kinds/refused-mosaic.dng',
      'kinds/refused-zstd.tif',
      'kinds/refused-float64.tif',
    );
    writeFileSync(join(folder, 'in/a.jp2'), Buffer.from('\0\0\0\x0CjP  \r\n\x87\n', 'latin1'));
    writeFileSync(join(folder, 'in/b.psd'), '8BPS\0\x01');
    const { outcomes, code, stderr } = await captioned();
    const messages = Object.values(outcomes).map(({ error }) => error?.message);
    const raw =
      'the file is a DNG camera raw file, which cannot be read. Export it as JPEG or TIFF with a raw converter; the JPEG that many cameras save beside it will do.';
    const saveAnew = 'Save it again with 8 or 16 bits per sample, and LZW, Deflate or no compression.';
    expect(messages).toEqual([
      'the file is a JPEG 2000 file, which cannot be read. Convert it to one of these formats: JPEG, PNG, WebP, AVIF, HEIC, GIF, TIFF, SVG, BMP and JPEG XL.',
      'the file is a Photoshop file, which cannot be read. Export it as PNG or JPEG with the program it was made with.',
      `the TIFF stores 64 bits per sample (floating point), which cannot be read. ${saveAnew}`,
      raw,
      raw,
      `the TIFF is compressed with Zstandard, which cannot be read. ${saveAnew}`,
    ]);
    expect(Object.values(outcomes).map(({ error }) => error?.code)).toEqual(messages.map(() => 'unsupported-format'));
    expect(stderr).toContain('minigpt: 0 images captioned, 6 failed,');
    expect(code).toBe(1);
  });
});

describe('a JPEG with damaged data inside', () => {
  beforeEach(() => {
    placePhoto(join(folder, 'in/good.jpg'));
    const bytes = readFileSync(join(folder, 'in/good.jpg'));
    const middle = bytes.length >> 1;
    writeFileSync(
      join(folder, 'in/bad.jpg'),
      Buffer.concat([bytes.subarray(0, middle), bytes.subarray(middle + 3000)]),
    );
  });

  test('is captioned, and its record says so', async () => {
    const { outcomes, code } = await captioned();
    expect(outcomes['bad.jpg']).toMatchObject({ caption: expect.any(String) as string, warnings: ['damaged'] });
    expect(outcomes['good.jpg']).not.toHaveProperty('warnings');
    expect(code).toBe(0);
  });

  test('has a cell of CSV for it, with --details', async () => {
    const { stdout } = await minigpt(folder, ['caption', 'in', ...FEW_WORDS, '--format', 'csv', '--details']);
    expect(parse(stdout, { columns: true })).toMatchObject([
      { image: 'in/bad.jpg', warnings: 'damaged' },
      { image: 'in/good.jpg', warnings: '' },
    ]);
  });

  test('is mentioned when a conversation about it begins', async () => {
    const { stderr, code } = await minigpt(folder, ['chat', 'in/bad.jpg', ...FEW_WORDS], 'What is it?\n');
    expect(stderr).toContain('minigpt: in/bad.jpg: the JPEG is damaged;');
    expect(code).toBe(0);
  });
});

/** What computes for minutes, takes gigabytes, or looks around on the disk. */
const ATTACKS: Record<string, string | Buffer> = {
  'filter.svg': svg(
    '<filter id="f" x="-5" y="-5" width="11" height="11"><feTurbulence baseFrequency="0.9" numOctaves="9"/><feMorphology radius="99"/></filter>' +
      `${'<g filter="url(#f)">'.repeat(30)}<rect width="1000" height="1000"/>${'</g>'.repeat(30)}`,
  ),
  'selectors.svg': svg(
    `<style>${Array.from({ length: 20_000 }, (_, rule) => `g g g g * :not(.a${rule}) > *{fill:red}`).join('')}</style>` +
      `${'<g>'.repeat(200)}<rect width="9" height="9"/>${'</g>'.repeat(200)}`,
  ),
  'masks.svg': svg(
    Array.from({ length: 30 }, (_, mask) => {
      const rect = `<rect width="4000" height="4000" mask="url(#m${mask + 1})"/>`;
      return `<mask id="m${mask}">${rect}${rect}</mask>`;
    }).join('') + '<rect width="1000" height="1000" mask="url(#m0)"/>',
  ),
  'use.svg': svg(
    `<defs><rect id="a0" width="9" height="9"/>${Array.from({ length: 40 }, (_, level) => {
      const use = `<use xlink:href="#a${level}"/>`;
      return `<g id="a${level + 1}">${use}${use}</g>`;
    }).join('')}</defs><use xlink:href="#a40"/>`,
  ),
  'entities.svg': `<!DOCTYPE svg [<!ENTITY l0 "<rect/>">${Array.from(
    { length: 12 },
    (_, level) => `<!ENTITY l${level + 1} "${`&l${level};`.repeat(10)}">`,
  ).join('')}]>${svg('&l12;')}`,
  'pattern.svg': svg(
    '<pattern id="p" width="1e9" height="1e9" patternUnits="userSpaceOnUse"><rect width="1e9" height="1e9"/></pattern><rect width="1000" height="1000" fill="url(#p)"/>',
  ),
  'packed.svgz': gzipSync(
    Buffer.concat([Buffer.from('<svg xmlns="http://www.w3.org/2000/svg">'), Buffer.alloc(3e8, ' ')]),
    { level: 1 },
  ),
  'picture.svg': svg(`<image width="9" height="9" xlink:href="${bombUri()}"/>`),
  'hidden-picture.svg': `<!DOCTYPE svg [<!ENTITY d "data:image">]>${svg(`<image width="9" height="9" xlink:href="${bombUri().replace('data:image', '&d;')}"/>`)}`,
  'reader.svg': `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/hostname">]>${svg('<text y="50">&x;</text>')}`,
};

/** 16,383 x 16,383 pixels of one colour: exactly what --max-pixels allows of an image by itself. */
function bombUri(): string {
  return `data:image/png;base64,${readFileSync(join(FIXTURES, 'bomb.png')).toString('base64')}`;
}

test('attacks by SVG end as errors of their own, and the photographs among them are captioned', async () => {
  for (const [name, content] of Object.entries(ATTACKS)) writeFileSync(join(folder, 'in', name), content);
  for (const [index, name] of ['a.jpg', 'm.jpg', 'z.jpg'].entries()) placePhoto(join(folder, 'in', name), index);
  const { outcomes, code } = await captioned('--decode-timeout', '1');
  for (const name of ['a.jpg', 'm.jpg', 'z.jpg']) expect(outcomes[name]?.caption, name).toBeTypeOf('string');
  const codes = Object.fromEntries(Object.keys(ATTACKS).map((name) => [name, outcomes[name]?.error?.code]));
  expect(codes).toEqual({
    'filter.svg': 'unreadable-image',
    'selectors.svg': 'unreadable-image',
    'masks.svg': expect.stringMatching(/^(?:unreadable-image|image-too-large)$/) as string,
    'use.svg': 'unreadable-image',
    'entities.svg': 'unreadable-image',
    'pattern.svg': 'unreadable-image',
    'packed.svgz': 'image-too-large',
    'picture.svg': 'image-too-large',
    'hidden-picture.svg': expect.stringMatching(/^(?:unreadable-image|image-too-large)$/) as string,
    'reader.svg': 'unreadable-image',
  });
  expect(outcomes['selectors.svg']?.error?.message).toBe(
    'decoding the SVG takes more than 1 second, so it was stopped. If you trust the file, give it more time with --decode-timeout.',
  );
  expect(code).toBe(1);
});

describe.skipIf(process.platform === 'win32')('while an image is decoded that does not end', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends the program, and the process that decodes', async (signal, exitCode) => {
    writeFileSync(join(folder, 'in/a.svg'), ATTACKS['selectors.svg'] ?? '');
    const child = start(folder, ['caption', 'in', '--verbose', '--decode-timeout', '600']);
    const stdout = text(child.stdout);
    // By the time the model is ready, the image has been with its decoder for a while.
    for await (const lines of child.stderr.setEncoding('utf8')) if (String(lines).includes('model ready')) break;
    child.kill(signal);
    const [code] = (await once(child, 'close')) as [number | null];
    expect(code).toBe(exitCode);
    expect(await stdout).toBe('');
  });
});

describe('--decode-timeout', () => {
  test.each(['0', '-1', 'soon', '1e9'])('must be a number of seconds, not %s', async (seconds) => {
    const { stderr, code } = await minigpt(folder, ['caption', 'in', '--decode-timeout', seconds]);
    expect(stderr).toContain('It should be a number above 0, and at most 86400.');
    expect(code).toBe(2);
  });

  test.each(['caption', 'ask', 'match', 'chat'])('is an option of %s', async (command) => {
    expect((await minigpt(folder, [command, '--help'])).stdout).toContain('--decode-timeout <seconds>');
  });
});
