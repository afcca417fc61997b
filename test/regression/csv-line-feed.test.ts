/** A file name with a line feed was written without quotes, so that its record took two lines of the CSV file. */
import { expect, test } from 'vitest';
import { csv } from '../../src/output/csv.ts';

test.each(['new\nline.jpg', 'old\rline.jpg', 'both\r\nline.jpg'])('the cell %j is quoted', (image) => {
  const record = csv({ kind: 'caption', details: false }).encode({ schema: 1, image, caption: 'a dog' });
  expect(record).toBe(`"${image}",a dog,\r\n`);
});
