/**
 * Byte tokens of LLaMA (`<0x0A>`) back to text: a run of them is UTF-8, or each byte of it becomes U+FFFD.
 *
 * `@huggingface/tokenizers` 0.2.0 has this part too, but keeps the valid bytes of a damaged run and drops U+FEFF, where the reference (the Rust
 * library `tokenizers`) gives up the whole run and keeps U+FEFF.
 */
import { isUtf8 } from 'node:buffer';

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** Whether a token stands for one byte. */
export function isByteToken(token: string): boolean {
  return BYTE_TOKEN.test(token);
}

/** `tokens` with every run of byte tokens replaced by its text. */
export function decodeByteTokens(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let run: number[] = [];
  const endRun = (): void => {
    const bytes = Buffer.from(run);
    if (run.length > 0) texts.push(isUtf8(bytes) ? bytes.toString('utf8') : '\uFFFD'.repeat(run.length));
    run = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token)?.[1];
    if (byte !== undefined) {
      run.push(Number.parseInt(byte, 16));
    } else {
      endRun();
      texts.push(token);
    }
  }
  endRun();
  return texts;
}
