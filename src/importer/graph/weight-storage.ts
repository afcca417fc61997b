/** The ways in which a weight can be stored in a pack. The graph nodes that go with each are in `stored-weight.ts` and, for matrix products, `linear.ts`. */
import type { Encoding } from './encoding.ts';
import { fp16, fp32 } from './floating-point.ts';
import { int12 } from './int12.ts';
import { int4 } from './int4.ts';
import { int8 } from './int8.ts';

export const encodings = { fp32, fp16, int12, int8, int4 } as const satisfies Record<string, Encoding>;

export type WeightStorage = keyof typeof encodings;
