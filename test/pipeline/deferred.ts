/** A promise that a test settles when it wants to. */
export class Deferred<Value> {
  readonly promise: Promise<Value>;
  #resolve: ((value: Value) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  resolve(value: Value): void {
    this.#resolve?.(value);
  }

  reject(error: Error): void {
    this.#reject?.(error);
  }
}

/** Lets everything run that waits for no timer and no file. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
