import { describe, expect, test } from 'vitest';
import { impliedBridge } from '../../src/pack/bridge.ts';

const share = (weights: number, path = 'qformer.onnx.data') => ({ path, weights });

describe('the bridge of a pack that does not name it', () => {
  test.each([
    ['instruction', 'an instruction is read', true, { matching: [], storage: [share(87)] }],
    ['matching', 'there are matching heads', false, { matching: ['itc', 'itm'], storage: [] }],
    ['queries', 'its file holds a Q-Former', false, { matching: [], storage: [share(1), share(43), share(23)] }],
    ['patches', 'its file holds one linear layer', false, { matching: [], storage: [share(2), share(60, 'decoder')] }],
    [
      'patches',
      'its file holds two linear layers, stored apart',
      false,
      { matching: [], storage: [share(2), share(2)] },
    ],
    ['queries', 'nothing is said of its file', false, { matching: [], storage: [] }],
  ] as const)('is %s where %s', (bridge, _, readsInstruction, pack) => {
    expect(impliedBridge(readsInstruction, pack)).toBe(bridge);
  });
});
