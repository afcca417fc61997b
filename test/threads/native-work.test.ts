import { expect, test } from 'vitest';
import { nativeWork, openNativeWork } from '../../src/threads/native-work.ts';
import { Deferred } from '../pipeline/deferred.ts';

test('native work is open until it ends, well or not', async () => {
  const before = openNativeWork();
  const [good, bad] = [new Deferred<number>(), new Deferred<number>()];
  const works = [nativeWork(good.promise), nativeWork(bad.promise)];
  expect(openNativeWork()).toBe(before + 2);
  good.resolve(3);
  expect(await works[0]).toBe(3);
  expect(openNativeWork()).toBe(before + 1);
  bad.reject(new Error('out of memory'));
  await expect(works[1]).rejects.toThrow('out of memory');
  expect(openNativeWork()).toBe(before);
});
