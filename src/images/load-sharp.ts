/**
 * sharp, from its CommonJS files. Its ES modules import JSON with an attribute, which Node 20.9 cannot parse, and about which Node 20.10 to
 * 20.18.2 print a warning into the middle of the program's own lines. Both kinds of files do the same.
 */
import { createRequire } from 'node:module';
import type sharpModule from 'sharp';

export const sharp = createRequire(import.meta.url)('sharp') as typeof sharpModule;
