import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import {
  OpaqueObject,
  PickleDict,
  PickleList,
  PickleName,
  PickleSet,
  PickleTuple,
  type PickleValue,
} from '../../../src/importer/read/pickle-value.ts';
import { TorchStorage } from '../../../src/importer/read/torch-storage.ts';
import { TorchTensor } from '../../../src/importer/read/torch-tensor.ts';
import {
  call,
  dict,
  global,
  integer,
  operations,
  pickle,
  readPickleBytes,
  repeated,
  storage,
  tensor,
  text,
  tuple,
} from './pickle-writer.ts';

const row = { offset: 0, size: [2, 3], stride: [3, 1] };

/** A value as data that tests compare: tuples and lists as arrays, dicts as lists of pairs. */
function plain(value: PickleValue): unknown {
  if (value instanceof PickleTuple || value instanceof PickleList) return value.items.map(plain);
  if (value instanceof PickleSet) return new Set(value.items.map(plain));
  if (value instanceof PickleDict) return [...value.entries].map(([key, item]) => [plain(key), plain(item)]);
  if (value instanceof Uint8Array) return [...value];
  return value;
}

describe('a pickle', () => {
  test.each<[string, Uint8Array, unknown]>([
    ['None and booleans', pickle('N\x88\x89\x87'), [null, true, false]],
    ['small integers', pickle('K\xffM\xff\xffJ\xff\xff\xff\xff\x87'), [255, 65535, -1]],
    ['long integers', pickle('\x8a\x00\x8a\x02\xff\x7f\x8a\x02\x00\x80\x87'), [0, 32767, -32768]],
    ['an integer of 4 length bytes', pickle('\x8b\x01\x00\x00\x00\xfe'), -2],
    ['an integer beyond 2^53', pickle(integer(2n ** 53n)), 2n ** 53n],
    ['the last integer that is a number', pickle(integer(2 ** 53 - 1)), 2 ** 53 - 1],
    ['the first one too', pickle(integer(-(2 ** 53) + 1)), -(2 ** 53) + 1],
    ['a float', pickle('G\x3f\xf8\x00\x00\x00\x00\x00\x00'), 1.5],
    ['a text', pickle(text('€ 你好 😀')), '€ 你好 😀'],
    ['a text that begins with a byte order mark', pickle(text('\ufeffa')), '\ufeffa'],
    ['short texts', pickle('U\x01a\x8c\x01b\x86'), ['a', 'b']],
    ['a text of 8 length bytes', pickle('\x8d\x01\x00\x00\x00\x00\x00\x00\x00a'), 'a'],
    ['bytes', pickle('C\x01\xffB\x01\x00\x00\x00\xfe\x86'), [[255], [254]]],
    ['bytes of 8 length bytes', pickle('\x8e\x01\x00\x00\x00\x00\x00\x00\x00\xff'), [255]],
    ['a byte array', pickle('\x96\x02\x00\x00\x00\x00\x00\x00\x00\x01\x02'), [1, 2]],
    ['tuples', pickle(')K\x01\x85K\x01K\x02\x86(K\x01K\x02K\x03K\x04t\x87'), [[1], [1, 2], [1, 2, 3, 4]]],
    ['lists', pickle('](K\x01K\x02eK\x03a'), [1, 2, 3]],
    ['a set', pickle('\x8f(K\x01K\x02\x90'), new Set([1, 2])],
    [
      'dicts',
      pickle('}(K\x01K\x02K\x03K\x04uK\x05K\x06s'),
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
    ],
    ['values that are remembered', pickle('K\x07q\x000h\x00h\x00\x86'), [7, 7]],
    ['values that are remembered in a row', pickle('K\x07\x94K\x08\x94h\x01h\x00\x86'), [8, 7]],
    ['values with long numbers', pickle('K\x07r\xff\xff\xff\x7f0j\xff\xff\xff\x7f'), 7],
    ['values taken twice or dropped', pickle('K\x012K\x090\x86'), [1, 1]],
    ['a mark that is dropped', pickle('K\x01(0'), 1],
    ['a frame', pickle('\x95\x03\x00\x00\x00\x00\x00\x00\x00K\x01'), 1],
  ])('has %s', (_, bytes, expected) => {
    const value = plain(readPickleBytes(bytes));
    expect(value).toEqual(expected);
  });

  test('may hold what holds itself', () => {
    const list = readPickleBytes(pickle(']q\x00h\x00a'));
    expect(list).toBeInstanceOf(PickleList);
    expect((list as PickleList).items[0]).toBe(list);
  });

  test('may be nested 200,000 deep', () => {
    let depth = 0;
    const nested = readPickleBytes(pickle(']'.repeat(200_000), 'a'.repeat(199_999)));
    for (let value = nested; value instanceof PickleList; value = value.items[0] ?? null) depth++;
    expect(depth).toBe(200_000);
  });

  test('keeps keys like __proto__ as ordinary keys', () => {
    const value = readPickleBytes(pickle('}', text('__proto__'), dict({ polluted: 'K\x01' }), 's'));
    expect(plain(value)).toEqual([['__proto__', [['polluted', 1]]]]);
    expect(value).not.toHaveProperty('polluted');
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('the names of PyTorch', () => {
  test('a tensor is a description, and so is a parameter', () => {
    const parameter = call('torch._utils', '_rebuild_parameter', tensor(storage('0', 6), row), '\x88', '}');
    const value = readPickleBytes(pickle(parameter));
    expect(value).toBeInstanceOf(TorchTensor);
    expect(value).toMatchObject({ dtype: 'F32', shape: [2, 3], strides: [3, 1], offset: 0 });
  });

  test.each([
    ['torch.nn.parameter', 'Parameter', '\x88'],
    ['torch._utils', '_rebuild_parameter_with_state', '\x88}}'],
  ])('%s.%s gives the tensor it holds', (module, name, rest) => {
    expect(readPickleBytes(pickle(call(module, name, tensor(storage('0', 6), row), rest)))).toBeInstanceOf(TorchTensor);
  });

  test('a tensor over bytes has the type that it says', () => {
    const args = [
      storage('0', 24, 'UntypedStorage', 'torch.storage'),
      integer(0),
      tuple(integer(3)),
      tuple(integer(1)),
    ];
    const typed = (type: string): Uint8Array =>
      pickle(call('torch._utils', '_rebuild_tensor_v3', ...args, '\x89', '}', global('torch', type)));
    expect(readPickleBytes(typed('int64'))).toMatchObject({ dtype: 'I64', shape: [3], byteLength: 24 });
    expect(() => readPickleBytes(typed('float8_e5m2'))).toThrow(
      expect.objectContaining({ fault: 'unsupported-dtype' }),
    );
  });

  test.each([
    ['DoubleStorage', 'F64'],
    ['FloatStorage', 'F32'],
    ['HalfStorage', 'F16'],
    ['BFloat16Storage', 'BF16'],
    ['LongStorage', 'I64'],
    ['IntStorage', 'I32'],
    ['ShortStorage', 'I16'],
    ['CharStorage', 'I8'],
    ['ByteStorage', 'U8'],
    ['BoolStorage', 'BOOL'],
  ])('%s holds %s', (type, dtype) => {
    const value = readPickleBytes(pickle(storage('k', 5, type)));
    expect(value).toBeInstanceOf(TorchStorage);
    expect(value).toMatchObject({ key: 'k', dtype, elements: 5 });
  });

  test('containers made by calls are containers', () => {
    const list = '](K\x01K\x02e';
    const values = [
      call('__builtin__', 'set', list),
      call('builtins', 'list', list),
      call('builtins', 'tuple', list),
      call('torch', 'Size', tuple('K\x01K\x02')),
      call('collections', 'OrderedDict', ']K\x01K\x02\x86a'),
      call('builtins', 'dict'),
    ];
    expect(plain(readPickleBytes(pickle(tuple(...values))))).toEqual([
      new Set([1, 2]),
      [1, 2],
      [1, 2],
      [1, 2],
      [[1, 2]],
      [],
    ]);
  });

  test('the metadata of an ordered dict is left out', () => {
    const bytes = pickle(call('collections', 'OrderedDict'), text('w'), 'K\x01s', dict({ _metadata: '}' }), 'b');
    expect(plain(readPickleBytes(bytes))).toEqual([['w', 1]]);
  });

  test('classes, types and placeholders are kept and never more than data', () => {
    const bytes = pickle(
      tuple(
        global('torch', 'float16'),
        operations(global('argparse', 'Namespace'), ')\x81', dict({ lr: 'K\x01' }), 'b'),
        call('torch', 'device', text('cuda'), 'K\x00'),
        call('_codecs', 'encode', text('a'), text('latin1')),
        operations(global('my_project.settings', 'Settings'), ')\x81', dict({ a: 'K\x01' }), 'b'),
        operations(global('__main__', 'Dict'), ')\x81', '(', text('a'), 'K\x01u'),
      ),
    );
    const items = (readPickleBytes(bytes) as PickleTuple).items;
    expect(items[0]).toBeInstanceOf(PickleName);
    for (const item of items.slice(1)) expect(item).toBeInstanceOf(OpaqueObject);
    expect(items[4]).toMatchObject({ className: 'my_project.settings.Settings' });
    expect(plain((items[4] as OpaqueObject).state)).toEqual([['a', 1]]);
  });

  test('settings of OmegaConf are placeholders, with all the names that it writes', () => {
    const metadata = operations(
      global('omegaconf.base', 'ContainerMetadata'),
      ')\x81',
      dict({
        ref_type: global('typing', 'Any'),
        object_type: global('__builtin__', 'dict'),
        resolver_cache: call('collections', 'defaultdict', global('__builtin__', 'dict')),
      }),
      'b',
    );
    const config = operations(
      global('omegaconf.dictconfig', 'DictConfig'),
      ')\x81',
      dict({ _metadata: metadata }),
      'b',
    );
    expect(readPickleBytes(pickle(config))).toMatchObject({ className: 'omegaconf.dictconfig.DictConfig' });
  });
});

/** The fault that a pickle is refused with. */
function faultOf(bytes: Uint8Array): string | undefined {
  try {
    readPickleBytes(bytes);
  } catch (error) {
    if (error instanceof CheckpointError) return error.fault;
    throw error;
  }
  return 'none';
}

describe('unsafe is a pickle that', () => {
  test.each<[string, Uint8Array]>([
    ['names a function of the system', pickle(global('posix', 'system'))],
    ['names one without using it', pickle(global('os', 'system'), '0N')],
    ['names one from the stack', pickle(text('os'), text('system'), '\x93')],
    ['names eval', pickle(global('builtins', 'eval'))],
    ['names a function of PyTorch that loads files', pickle(global('torch', 'load'))],
    ['names what only begins like an allowed one', pickle(global('torch._utils', '_rebuild_tensor_v22'))],
    ['names a module that only begins like an allowed one', pickle(global('collectionsx.y', 'OrderedDict'), ')R')],
    ['reaches through a module', pickle(text('my_project'), text('os.system'), '\x93')],
    ['reaches through a class', pickle(text('omegaconf'), text('DictConfig.__init__.__globals__'), '\x93')],
    ['names something with a blank', pickle(text('my project'), text('x'), '\x93')],
    ['names nothing', pickle(text(''), text(''), '\x93')],
    ['names a private module of Python', pickle(global('_posixsubprocess', 'fork_exec'))],
    ['names NumPy beyond arrays', pickle(global('numpy.testing._private.utils', 'runstring'))],
    ['calls a class of a project', pickle(call('my_project', 'Settings', text('x')))],
    ['calls an element type', pickle(call('torch', 'float16'))],
    ['calls a storage type', pickle(call('torch', 'FloatStorage', 'K\x01'))],
    ['creates a function', pickle(global('torch._utils', '_rebuild_tensor_v2'), ')\x81')],
    ['creates a set with something', pickle(global('builtins', 'set'), tuple(']'), '\x81')],
    ['changes a class', pickle(global('argparse', 'Namespace'), '}b')],
    [
      'makes a tensor of a foreign class',
      pickle(
        call(
          'torch._tensor',
          '_rebuild_from_type_v2',
          global('torch._utils', '_rebuild_tensor_v2'),
          global('my_project', 'Evil'),
          ')',
          '}',
        ),
      ),
    ],
    [
      'makes a tensor by a foreign function',
      pickle(
        call(
          'torch._tensor',
          '_rebuild_from_type_v2',
          global('my_project', 'evil'),
          global('torch', 'Tensor'),
          ')',
          '}',
        ),
      ),
    ],
    [
      'makes a tensor by another allowed name',
      pickle(
        call(
          'torch._tensor',
          '_rebuild_from_type_v2',
          global('argparse', 'Namespace'),
          global('torch', 'Tensor'),
          ')',
          '}',
        ),
      ),
    ],
    ['has INST', pickle('(ios\nsystem\n')],
    ['has OBJ', pickle('(', global('argparse', 'Namespace'), 'o')],
    ['has EXT1, EXT2 or EXT4', pickle('\x82\x01')],
  ])('%s', (_, bytes) => {
    expect(faultOf(bytes)).toBe('unsafe-pickle');
  });
});

describe('bad is a pickle that', () => {
  test.each<[string, Uint8Array]>([
    ['is empty', new Uint8Array()],
    ['has no end', operations('\x80\x02N')],
    ['has no value', pickle('')],
    ['has protocol 1', operations('\x80\x01N.')],
    ['has protocol 6', operations('\x80\x06N.')],
    ['has an operation of text pickles', pickle('I1\n')],
    ['makes a pair of one value', pickle('N\x86')],
    ['makes a pair across a mark', pickle('N(N\x86t')],
    ['takes a value below a mark', pickle('](Na')],
    ['closes a mark that is not there', pickle('Nt')],
    ['recalls what was not remembered', pickle('h\x00')],
    ['remembers nothing', pickle('q\x00N')],
    ['remembers what belongs to the mark before', pickle('N(q\x00')],
    ['appends to a tuple', pickle(')Na')],
    ['appends to a set', pickle('\x8fNa')],
    ['adds to a list', pickle('](N\x90')],
    ['sets entries of a list', pickle(']NNs')],
    ['has a key without a value', pickle('}(Nu')],
    ['has a list as a key', pickle('}]Ns')],
    ['has a dict in a set', pickle('\x8f(}\x90')],
    ['has a dict in a set by a call', pickle(call('builtins', 'set', ']}a'))],
    ['calls None', pickle('N)R')],
    ['calls with a list', pickle(global('torch', 'device'), ']R')],
    ['creates None', pickle('N)\x81')],
    ['gives a state to a number', pickle('K\x01}b')],
    ['gives a state that is no dict to a dict', pickle('}K\x01b')],
    ['has a name that is a number', pickle('K\x01', text('x'), '\x93')],
    ['has a name without an end', pickle('cos')],
    ['has a name of thousands of letters', pickle(global('a'.repeat(3000), 'b'))],
    ['has a name with control characters', pickle(global('a\x1b', 'b'))],
    ['has text that is not UTF-8', pickle('X\x01\x00\x00\x00\xff')],
    ['has text longer than itself', pickle('X\xff\xff\xff\xffabc')],
    ['has text of 2^64 - 1 bytes', pickle('\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc')],
    ['has a frame longer than itself', pickle('\x95\xff\x00\x00\x00\x00\x00\x00\x00N')],
    ['has an integer of 4 billion bytes', pickle('\x8b\xff\xff\xff\xff')],
    ['refers to what is no storage', pickle('NQ')],
    [
      'refers to a storage without a name',
      pickle(tuple(text('storage'), global('torch', 'FloatStorage'), 'K\x01', text('cpu'), 'K\x01'), 'Q'),
    ],
    ['refers to a storage of an element type', pickle(storage('0', 1, 'float32'))],
    [
      'refers to a part of a storage',
      pickle(tuple(text('storage'), global('torch', 'FloatStorage'), text('0'), text('cpu'), 'K\x01', ')'), 'Q'),
    ],
    ['makes a tensor of nothing', pickle(call('torch._utils', '_rebuild_tensor_v2'))],
    ['makes a parameter of nothing', pickle(call('torch._utils', '_rebuild_parameter'))],
    [
      'makes a tensor with a shape of text',
      pickle(call('torch._utils', '_rebuild_tensor_v2', storage('0', 1), 'K\x00', tuple(text('1')), tuple('K\x01'))),
    ],
    [
      'makes a tensor at a fraction',
      pickle(
        call('torch._utils', '_rebuild_tensor_v2', storage('0', 1), 'G\x3f\xe0\x00\x00\x00\x00\x00\x00', ')', ')'),
      ),
    ],
    ['makes an ordered dict of no pairs', pickle(call('collections', 'OrderedDict', ']Na'))],
  ])('%s', (_, bytes) => {
    expect(faultOf(bytes)).toBe('bad-pickle');
  });

  test.each<[string, Uint8Array]>([
    ['more operations than any checkpoint needs', pickle('N0'.repeat(6_000_000), 'N')],
    ['more values in progress', pickle('N'.repeat(1_000_001))],
    ['more marks', pickle('('.repeat(1_000_001))],
    ['more containers', pickle('}0'.repeat(1_000_001), 'N')],
    ['more remembered values', pickle('N', '\x94'.repeat(1_000_001))],
    [
      'the same large list copied again and again',
      pickle(
        ']q\x00(',
        'N'.repeat(500_000),
        'e',
        call('builtins', 'list', 'h\x00'),
        repeated(30, '0', call('builtins', 'list', 'h\x00')),
      ),
    ],
    ['more text', pickle(repeated(65, text('x'.repeat(2 ** 20)), '0'), 'N')],
  ])('is refused before it fills the memory: %s', (_, bytes) => {
    expect(faultOf(bytes)).toBe('too-large');
  });

  test('says where it broke', () => {
    expect(() => readPickleBytes(pickle('NN\xff'))).toThrow(
      'memory: the pickle cannot be read at its byte 5: 0xff is not an operation that checkpoints use. The file is damaged; download it again.',
    );
  });
});
