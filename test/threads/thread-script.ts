/** Entries of threads for tests: a few lines of JavaScript that are served by the compiled program, since a thread cannot be started from TypeScript. */

const COMPILED = new URL('../../dist/', import.meta.url);

/**
 * The address of an entry.
 *
 * @param source may use `serve`, the classes of `errors.ts` as `errors`, and `threads` for node:worker_threads
 */
export function threadScript(source: string): URL {
  const script = `
    import * as threads from 'node:worker_threads';
    import { serve } from '${new URL('threads/serve.js', COMPILED).href}';
    import * as errors from '${new URL('errors.js', COMPILED).href}';
    ${source}`;
  return new URL(`data:text/javascript,${encodeURIComponent(script)}`);
}
