/** Waiting that an abort ends, for work that itself cannot be stopped (a decode, an inference, a model that loads). */

/**
 * What `work` gives, or the abort's reason as soon as `signal` is aborted. `work` itself goes on; what it gives later is dropped, failure
 * included.
 */
export async function abortable<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise<Value>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
