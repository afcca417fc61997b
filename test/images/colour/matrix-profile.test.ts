import { describe, expect, test } from 'vitest';
import { codePointProfile } from '../../../src/images/colour/code-points.ts';
import { matrixToSrgb, readMatrixProfile, type MatrixProfile } from '../../../src/images/colour/matrix-profile.ts';

function converted(levels: readonly number[], profile: MatrixProfile | undefined): number[] {
  if (profile === undefined) throw new Error('there is no profile');
  return [...matrixToSrgb(Uint8Array.from(levels), 1, levels.length, profile)];
}

const fixed = (value: number): number[] => {
  const number = Math.round(value * 65_536);
  return [24, 16, 8, 0].map((shift) => (number >> shift) & 255);
};
const tag = (type: string, ...bytes: number[]): number[] => [...Buffer.from(type), 0, 0, 0, 0, ...bytes];

/** A grey profile with the given curve. */
function grey(curve: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(144 + curve.length);
  bytes.write('GRAYXYZ ', 16, 'latin1');
  bytes.writeUInt32BE(1, 128);
  bytes.write('kTRC', 132, 'latin1');
  bytes.writeUInt32BE(144, 136);
  bytes.writeUInt32BE(curve.length, 140);
  bytes.set(curve, 144);
  return bytes;
}

describe('colours by code points', () => {
  test('those of sRGB and of television need no conversion, and neither do those that are not stated', () => {
    for (const transfer of [1, 2, 6, 13, 14, 15]) {
      expect(codePointProfile({ primaries: 1, transfer })).toBeUndefined();
      expect(codePointProfile({ primaries: 2, transfer })).toBeUndefined();
    }
  });

  test.each([
    // By the matrices of Display P3 and BT.2020 in CSS Color 4, with the curve of sRGB.
    ['Display P3', 12, [200, 100, 50], [215, 93, 31]],
    ['BT.2020', 9, [150, 120, 90], [167, 116, 85]],
  ])('%s', (_, primaries, levels, expected) => {
    const rgb = converted(levels, codePointProfile({ primaries, transfer: 13 }));
    rgb.forEach((level, channel) => expect(Math.abs(level - (expected[channel] ?? 0))).toBeLessThanOrEqual(1));
  });

  test('white and black stay what they are in all primaries, and what sRGB cannot show is cut off', () => {
    for (const primaries of [4, 5, 6, 7, 9, 11, 12]) {
      const profile = codePointProfile({ primaries, transfer: 13 });
      expect(converted([255, 255, 255], profile)).toEqual([255, 255, 255]);
      expect(converted([0, 0, 0], profile)).toEqual([0, 0, 0]);
    }
    expect(converted([255, 0, 0], codePointProfile({ primaries: 12, transfer: 13 }))).toEqual([255, 0, 0]);
  });

  test.each([
    ['linear light', 8, 55, 128],
    ['PQ, of which 58 % is white', 16, 148, 255],
    ['HLG, of which 75 % is white', 18, 191, 255],
  ])('%s', (_, transfer, level, expected) => {
    const [red = 0] = converted([level, level, level], codePointProfile({ primaries: 1, transfer }));
    expect(Math.abs(red - expected)).toBeLessThanOrEqual(1);
  });
});

describe('a profile of curves and a matrix', () => {
  test.each([
    ['no curve at all', tag('curv', 0, 0, 0, 0), 55, 128],
    ['a power', tag('curv', 0, 0, 0, 1, 2, 0x33), 128, 128],
    ['a table', tag('curv', 0, 0, 0, 3, 0, 0, 0x80, 0, 0xff, 0xff), 128, 188],
    ['formula 0', tag('para', 0, 0, 0, 0, ...fixed(2)), 128, 137],
    [
      'formula 3, of sRGB',
      tag(
        'para',
        0,
        3,
        0,
        0,
        ...fixed(2.4),
        ...fixed(1 / 1.055),
        ...fixed(0.055 / 1.055),
        ...fixed(1 / 12.92),
        ...fixed(0.040_45),
      ),
      100,
      100,
    ],
  ])('%s', (_, curve, level, expected) => {
    const [value = 0] = converted([level], readMatrixProfile(grey(curve)));
    expect(Math.abs(value - expected)).toBeLessThanOrEqual(1);
  });

  test('one that is cut anywhere is none', () => {
    const whole = grey(tag('para', 0, 0, 0, 0, ...fixed(2)));
    for (let length = 0; length < whole.length; length++) {
      expect(readMatrixProfile(whole.subarray(0, length)), `${length} bytes`).toBeUndefined();
    }
  });
});
