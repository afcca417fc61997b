/**
 * JPEG XL by jxl-oxide as WebAssembly (the package jxl-oxide-wasm, MIT or Apache-2.0). It gives the first frame as PNG, in sRGB where it can
 * convert the colours and with their profile where it cannot.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ImageError } from '../../errors.ts';

type JpegXl = typeof import('jxl-oxide-wasm');

let library: Promise<JpegXl> | undefined;

/** The first frame as a PNG file. @throws what the decoder throws for damaged data */
export async function readJpegXl(bytes: Uint8Array): Promise<Buffer> {
  library ??= load();
  const { JxlImage } = await library;
  const image = new JxlImage();
  try {
    image.forceSrgb = true;
    image.feedBytes(bytes);
    if (!image.tryInit()) throw new Error('the header is not complete');
    // The frame is freed when it is encoded.
    return Buffer.from(image.render().encodeToPng());
  } finally {
    image.free();
  }
}

/** Left to itself the package would fetch its WebAssembly, which Node does from addresses of the network alone. */
async function load(): Promise<JpegXl> {
  try {
    const jpegXl = await import('jxl-oxide-wasm');
    const manifest = createRequire(import.meta.url).resolve('jxl-oxide-wasm/package.json');
    jpegXl.initSync({ module: await readFile(join(manifest, '..', 'jxl_oxide_wasm_bg.wasm')) });
    return jpegXl;
  } catch (cause) {
    throw new ImageError('internal', `the decoder for JPEG XL cannot be loaded (${String(cause)}).`, { cause });
  }
}
