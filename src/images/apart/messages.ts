/** What crosses between the program and a process that decodes apart from it. */
import type { ImageErrorCode } from '../../errors.ts';
import type { DecodeRequest } from '../decode-bytes.ts';
import type { DecodedImage } from '../rgb-image.ts';

/** What one image may take, of the process that decodes it. */
export type ApartLimits = {
  /** Seconds of computing. */
  seconds: number;
  /** Bytes of memory. */
  memory: number;
};

/** Bytes cross as they are (`serialization: 'advanced'`). */
export type ApartRequest = { kind: string; bytes: Uint8Array; request: DecodeRequest; limits: ApartLimits };

/** The first thing that a process says. */
export const READY = 'ready';

export type ApartAnswer = {
  /** Memory of the process, in bytes. */
  rss: number;
} & ({ image: DecodedImage } | { error: { code: ImageErrorCode; message: string; stack: string | undefined } });

/** Why the watchdog ended its process; the last thing that is written to its stderr. */
export const ENDED_FOR = { time: '@minigpt: time', memory: '@minigpt: memory' } as const;
