/** What the process says with its exit code (contract: Exit codes). */
export const EXIT = {
  /** Every image has its answer, or the reader of the output wanted no more. */
  ok: 0,
  /** The run finished and at least one image failed. */
  someFailed: 1,
  /** It could not start or could not go on: usage, model, output, nothing matched. */
  couldNotRun: 2,
  /** 128 + the number of the signal, as shells report it. */
  interrupted: 130,
  terminated: 143,
} as const;
