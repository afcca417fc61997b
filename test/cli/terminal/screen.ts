/** Streams that remember what was written to them, in the place of stderr. */
import { Writable } from 'node:stream';
import type { WriteStream } from 'node:tty';

export class Recorder extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

/**
 * A terminal of a few columns: understands what a progress bar uses (carriage return, cursor to column, erase line, erase below).
 * `rows` is what a person sees.
 */
export class FakeTerminal extends Recorder {
  readonly isTTY = true;
  readonly columns: number;

  constructor(columns = 80) {
    super();
    this.columns = columns;
  }

  asTty(): WriteStream {
    return this as unknown as WriteStream;
  }

  get rows(): string[] {
    const rows = [''];
    let column = 0;
    // oxlint-disable-next-line no-control-regex -- terminals are driven by control characters
    for (const [part] of this.text.matchAll(/\u001b\[\d*[A-Z]|[^\u001b]/gsu)) {
      const row = rows.at(-1) ?? '';
      if (part === '\n') {
        rows.push('');
        column = 0;
      } else if (part === '\r' || part === '\u001b[1G') column = 0;
      else if (part === '\u001b[2K') rows[rows.length - 1] = '';
      else if (part === '\u001b[0K' || part === '\u001b[0J') rows[rows.length - 1] = row.slice(0, column);
      else if (part.startsWith('\u001b')) throw new Error(`the terminal does not know ${JSON.stringify(part)}`);
      else {
        rows[rows.length - 1] = row.padEnd(column).slice(0, column) + part + row.slice(column + 1);
        column += 1;
      }
    }
    return rows;
  }
}
