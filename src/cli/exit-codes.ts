/** The exit codes of the process, which users may rely on. */
export const EXIT = {
  /** Every image has its answer, or the program that reads the output closed it early. */
  ok: 0,
  /** The run finished and at least one image failed. */
  someFailed: 1,
  /** It could not start, or could not continue: wrong command line, model, output, no images found. */
  couldNotRun: 2,
  /** 128 + the number of the signal, as shells report it. */
  interrupted: 130,
  terminated: 143,
} as const;
