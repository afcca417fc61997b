import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { storedZip } from '../../../bench/stored-zip.mjs';
import { CheckpointError } from '../../../src/errors.ts';
import { FileBytes } from '../../../src/importer/read/file-bytes.ts';
import { TorchFile } from '../../../src/importer/read/torch-file.ts';
import {
  call,
  dict,
  global,
  integer,
  legacyFile,
  operations,
  pickle,
  storage,
  tensor,
  text,
  tuple,
} from './pickle-writer.ts';

const directory = mkdtempSync(join(tmpdir(), 'minigpt-torch-'));
afterAll(() => rmSync(directory, { recursive: true }));
const path = join(directory, 'x.pth');

const DATA = Uint8Array.from({ length: 24 }, (_, index) => index);
const row = { offset: 0, size: [2, 3], stride: [3, 1] };
const weight = tensor(storage('0', 6), row);

/** A file with this pickle and one storage of 24 bytes. */
function zipOf(root: Uint8Array, more: Readonly<Record<string, Uint8Array>> = {}): Uint8Array {
  const entries = { 'data.pkl': root, 'data/0': DATA, version: Buffer.from('3\n'), ...more };
  return storedZip(Object.entries(entries).map(([name, data]) => ({ name: `archive/${name}`, data })));
}

async function opened<T>(bytes: Uint8Array, use: (file: TorchFile) => T | Promise<T>): Promise<T> {
  await writeFile(path, bytes);
  const file = await TorchFile.open(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

const names = (file: TorchFile): string[] => [...file.tensors.keys()];
const settings = (file: TorchFile): unknown => file.settings;

/** The fault that a file is refused with. */
async function faultOf(bytes: Uint8Array): Promise<unknown> {
  const error: unknown = await opened(bytes, names).catch((thrown: unknown) => thrown);
  if (!(error instanceof CheckpointError)) return error;
  expect(error.path).toBe(path);
  return error.fault;
}

describe('the state dict of a checkpoint', () => {
  test('is the top level of a bare one; what is no tensor there is no weight', async () => {
    const root = dict({ 'a.weight': weight, step: 'K\x01', nested: dict({ hidden: weight }) });
    expect(await opened(zipOf(pickle(root)), names)).toEqual(['a.weight']);
  });

  test.each(['model', 'state_dict', 'model_state_dict', 'module'])('is the part %s of a wrapped one', async (key) => {
    const root = dict({ epoch: 'K\x01', [key]: dict({ w: weight }), optimizer: dict({ state: dict({ w: weight }) }) });
    expect(await opened(zipOf(pickle(root)), names)).toEqual(['w']);
  });

  test('is the model, and not its moving average', async () => {
    const root = dict({ state_dict: dict({ average: weight }), model: dict({ w: weight }) });
    expect(await opened(zipOf(pickle(root)), names)).toEqual(['w']);
  });

  test('is the top level where a part called model holds no tensor', async () => {
    expect(await opened(zipOf(pickle(dict({ model: dict({ type: text('opt') }), w: weight }))), names)).toEqual(['w']);
    expect(await opened(zipOf(pickle(dict({ model: text('opt'), w: weight }))), names)).toEqual(['w']);
  });

  test('may be one tensor without a name, or hold nothing', async () => {
    expect(await opened(zipOf(pickle(weight)), names)).toEqual(['']);
    expect(await opened(zipOf(pickle('N')), names)).toEqual([]);
    expect(await opened(zipOf(pickle(']')), names)).toEqual([]);
  });

  test('gives each tensor dtype, shape, file and bytes', async () => {
    const transposed = tensor(storage('0', 6), { offset: 0, size: [3, 2], stride: [1, 3] });
    await opened(zipOf(pickle(dict({ w: weight, t: transposed }))), async (file) => {
      const t = file.tensors.get('t');
      expect(t).toEqual({ name: 't', dtype: 'F32', shape: [3, 2], file: path, byteLength: 24 });
      if (t !== undefined) expect([...(await file.read(t, 4, 8))]).toEqual([12, 13, 14, 15, 4, 5, 6, 7]);
      const unknown = { name: 'x', dtype: 'F32' as const, shape: [1], file: path, byteLength: 4 };
      await expect(file.read(unknown)).rejects.toThrow('tensor x is not in this file');
    });
  });

  test('is found without reading a single weight, nor what the optimizer holds', async () => {
    const big = 2 ** 26;
    const root = dict({
      model: dict({ w: tensor(storage('0', big / 4), { offset: 0, size: [big / 4], stride: [1] }) }),
    });
    const bytes = zipOf(pickle(root), { 'data/0': new Uint8Array(big) });
    const spies = [vi.spyOn(FileBytes.prototype, 'read'), vi.spyOn(FileBytes.prototype, 'readNow')];
    await opened(bytes, names);
    const read = spies.flatMap((spy) => spy.mock.calls).reduce((sum, [, length]) => sum + length, 0);
    vi.restoreAllMocks();
    expect(read).toBeLessThan(300_000);
  });
});

describe('the settings of a checkpoint', () => {
  const wrapped = (config: Uint8Array): Uint8Array => zipOf(pickle(dict({ model: dict({ w: weight }), config })));

  test('are config.model as plain data', async () => {
    const model = dict({
      arch: text('blip2_opt'),
      layers: 'K\x20',
      scale: 'G\x3f\xe0\x00\x00\x00\x00\x00\x00',
      freeze: '\x88',
      path: 'N',
      sizes: tuple('K\x01', ']K\x02a'),
      nested: dict({ a: 'K\x01' }),
    });
    expect(await opened(wrapped(dict({ run: '}', model })), settings)).toEqual({
      arch: 'blip2_opt',
      layers: 32,
      scale: 0.5,
      freeze: true,
      path: null,
      sizes: [1, [2]],
      nested: { a: 1 },
    });
  });

  test('leave out what JSON has no word for', async () => {
    const opaque = operations(global('argparse', 'Namespace'), ')\x81');
    const model = operations(
      dict({ opaque, tensor: weight, bytes: 'C\x01a', dtype: global('torch', 'float16'), big: integer(2n ** 60n) }),
      '(',
      operations(text('infinite'), 'G\x7f\xf0\x00\x00\x00\x00\x00\x00'),
      operations(text('list'), tuple(opaque, 'K\x01')),
      operations(text('__proto__'), dict({ polluted: 'K\x01' })),
      'K\x05K\x06',
      ')N',
      'u',
    );
    const found = await opened(wrapped(dict({ model })), settings);
    expect(JSON.stringify(found)).toBe('{"5":6,"list":[null,1],"__proto__":{"polluted":1}}');
    expect({}).not.toHaveProperty('polluted');
  });

  test.each<[string, Uint8Array]>([
    ['there is no config', zipOf(pickle(dict({ model: dict({ w: weight }) })))],
    ['the config is a placeholder', wrapped(operations(global('argparse', 'Namespace'), ')\x81'))],
    ['the config has no model', wrapped(dict({ run: '}' }))],
    ['the checkpoint is bare', zipOf(pickle(dict({ w: weight, config: dict({ model: dict({ a: 'K\x01' }) }) })))],
  ])('are empty where %s', async (_, bytes) => {
    expect(await opened(bytes, settings)).toEqual({});
  });

  test.each<[string, Uint8Array]>([
    ['hold themselves', operations('}q\x63', text('me'), 'h\x63s')],
    ['are a thousand levels deep', dict({ deep: operations(']'.repeat(1000), 'a'.repeat(999)) })],
    ['double at each of 30 levels', dict({ deep: operations('N', 'q\x62h\x62\x86'.repeat(30)) })],
  ])('are refused when they %s', async (_, model) => {
    expect(await faultOf(wrapped(dict({ model })))).toBe('bad-pickle');
  });
});

describe('the storages of a checkpoint', () => {
  test('are read in the byte order little, or where none is given', async () => {
    const root = pickle(dict({ w: weight }));
    expect(await opened(zipOf(root, { byteorder: Buffer.from('little') }), names)).toEqual(['w']);
    expect(await faultOf(zipOf(root, { byteorder: Buffer.from('big') }))).toBe('unsupported-byteorder');
    expect(await faultOf(zipOf(root, { byteorder: Buffer.alloc(100_000) }))).toBe('unsupported-byteorder');
  });

  test.each<[string, Uint8Array, string]>([
    ['has another size', storage('0', 5), 'storage-size-mismatch'],
    ['has another type', storage('0', 6, 'DoubleStorage'), 'storage-size-mismatch'],
    ['is said to have -1 elements', storage('0', -1), 'storage-size-mismatch'],
    ['has no entry', storage('1', 6), 'missing-storage'],
    ['is another entry of the archive', storage('../data.pkl', 6), 'missing-storage'],
    ['is a property of every object', storage('__proto__', 6), 'missing-storage'],
    ['holds complex numbers', storage('0', 3, 'ComplexFloatStorage'), 'unsupported-dtype'],
  ])('are refused when one %s', async (_, reference, fault) => {
    expect(await faultOf(zipOf(pickle(dict({ w: tensor(reference, row) }))))).toBe(fault);
  });

  test('have one type each', async () => {
    const both = [weight, tensor(storage('0', 6, 'IntStorage'), row)];
    expect(await faultOf(zipOf(pickle(tuple(...both))))).toBe('storage-size-mismatch');
    expect(await faultOf(legacyFile(pickle(legacyTensors('FloatStorage', 'IntStorage')), { 0: DATA }))).toBe(
      'storage-size-mismatch',
    );
  });
});

/** A legacy reference has a sixth part, which is always None. */
function legacyTensors(...types: readonly string[]): Uint8Array {
  const references = types.map((type) =>
    operations(tuple(text('storage'), global('torch', type), text('0'), text('cpu'), 'K\x06N'), 'Q'),
  );
  return dict(Object.fromEntries(references.map((reference, index) => [`w${index}`, tensor(reference, row)])));
}

describe('a legacy file', () => {
  const root = pickle(legacyTensors('FloatStorage'));
  const good = legacyFile(root, { 0: DATA });

  test('gives the tensors behind its pickles', async () => {
    await opened(good, async (file) => {
      const w = file.tensors.get('w0');
      expect(w).toMatchObject({ dtype: 'F32', shape: [2, 3] });
      if (w !== undefined) expect([...(await file.read(w))]).toEqual([...DATA]);
    });
  });

  test.each<[string, Uint8Array, string]>([
    ['is cut in a pickle', good.subarray(0, 150), 'truncated'],
    ['is cut in a storage', good.subarray(0, -1), 'truncated'],
    ['is cut in the size of a storage', good.subarray(0, -26), 'truncated'],
    ['has another version', legacyFile(root, { 0: DATA }, { version: 'K\x01' }), 'bad-pickle'],
    ['is big-endian', legacyFile(root, { 0: DATA }, { littleEndian: '\x89' }), 'unsupported-byteorder'],
    ['does not say its byte order', legacyFile(root, { 0: DATA }, { littleEndian: 'N' }), 'bad-pickle'],
    ['has a storage of another size', legacyFile(root, { 0: DATA.subarray(4) }), 'storage-size-mismatch'],
    ['lacks a storage', legacyFile(root, {}), 'missing-storage'],
    ['has a storage that nothing speaks of', legacyFile(root, { 0: DATA, 1: DATA }), 'bad-pickle'],
    ['has a storage twice', legacyFile(root, { 0: DATA, 1: DATA }, { keys: ['0', '0'] }), 'bad-pickle'],
    ['begins with another number', operations(pickle(integer(7)), root), 'not-a-checkpoint'],
    ['begins with a damaged pickle', pickle('\xff'), 'not-a-checkpoint'],
    ['begins with a pickle that runs something', pickle(call('os', 'system', text('true'))), 'unsafe-pickle'],
  ])('is refused when it %s', async (_, bytes, fault) => {
    expect(await faultOf(bytes)).toBe(fault);
  });
});

describe('refused as no checkpoint, with what it probably is, is', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(), /empty/],
    ['a pointer of Git LFS', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\n'), /git lfs pull/],
    ['a web page', Buffer.from('\n<!DOCTYPE html><html>'), /web page/],
    ['a safetensors file', Buffer.from('\x02\0\0\0\0\0\0\0{}'), /\.safetensors/],
    ['noise', Buffer.from('noise'), /does not match any format of PyTorch/],
  ])('%s', async (_, bytes, reason) => {
    await writeFile(path, bytes);
    await expect(TorchFile.open(path)).rejects.toThrow(reason);
    await expect(TorchFile.open(path)).rejects.toThrow(expect.objectContaining({ fault: 'not-a-checkpoint' }));
  });

  test('a folder, and a file that is not there', async () => {
    await mkdir(join(directory, 'folder.pth'));
    await expect(TorchFile.open(join(directory, 'folder.pth'))).rejects.toThrow('this is not a file');
    await expect(TorchFile.open(join(directory, 'absent.pth'))).rejects.toThrow(CheckpointError);
  });

  test('a file that becomes shorter while it is read', async () => {
    await writeFile(path, zipOf(pickle(dict({ w: weight }))));
    const file = await TorchFile.open(path);
    await writeFile(path, '');
    const w = file.tensors.get('w');
    if (w !== undefined) await expect(file.read(w)).rejects.toThrow(expect.objectContaining({ fault: 'truncated' }));
    await file.close();
    expect(w).toBeDefined();
  });
});
