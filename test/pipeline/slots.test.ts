import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Slots } from '../../src/pipeline/slots.ts';

test('no more holders than slots, and every waiter gets its turn in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 20 }),
      async (scheduler, count, holders) => {
        const slots = new Slots(count);
        let held = 0;
        const turns: number[] = [];
        const hold = async (holder: number) => {
          const give = await slots.take();
          turns.push(holder);
          held += 1;
          expect(held).toBeLessThanOrEqual(count);
          await scheduler.schedule(Promise.resolve());
          held -= 1;
          give();
        };
        const names = Array.from({ length: holders }, (_, index) => index);
        await scheduler.waitFor(Promise.all(names.map(hold)));
        expect(turns).toEqual(names);
      },
    ),
  );
});

test.each([0, -1, 1.5, Number.NaN])('%s slots are refused', (count) => {
  expect(() => new Slots(count)).toThrow(RangeError);
});
