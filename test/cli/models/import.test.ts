import { expect, test } from 'vitest';
import { requireRoom } from '../../../src/cli/models/import.ts';
import { OutputError } from '../../../src/errors.ts';

test('a pack that does not fit is refused with what it needs and what is free', async () => {
  const refused = requireRoom('/packs', 4_000_000_000, async () => 1_000_000_000);
  await expect(refused).rejects.toThrow(OutputError);
  await expect(requireRoom('/packs', 4_000_000_000, async () => 1_000_000_000)).rejects.toThrow(
    '/packs: the pack needs 4.0 GB, but only 1.0 GB are free.',
  );
});

test('a pack that fits is let through, and so is one on a disk that tells nothing', async () => {
  await expect(requireRoom('/packs', 4, async () => 4)).resolves.toBeUndefined();
  await expect(requireRoom('/packs', 4, async () => undefined)).resolves.toBeUndefined();
});
