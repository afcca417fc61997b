/** Does several things at once and gives their results in the order in which they were asked for. */

/**
 * The result of `work` for each job, in the order of the jobs. Further jobs are begun while a result is being used, as long as all that are begun and
 * not yet used come to at most `limit`; one always is. A job that fails throws its error in its turn. Nothing is left running: what was begun is
 * waited for, also when the caller stops early.
 *
 * @param sizeOf how much of the limit a job takes
 */
export async function* inOrder<Job, Result>(
  jobs: Iterable<Job>,
  limit: number,
  sizeOf: (job: Job) => number,
  work: (job: Job) => Promise<Result>,
): AsyncGenerator<Result, undefined> {
  const begun: { size: number; result: Promise<Result> }[] = [];
  const rest = jobs[Symbol.iterator]();
  let next = rest.next();
  let total = 0;
  try {
    while (true) {
      while (next.done !== true && (begun.length === 0 || total + sizeOf(next.value) <= limit)) {
        const size = sizeOf(next.value);
        const result = work(next.value);
        // A failure is told when its turn comes; until then nobody waits for it.
        result.catch(() => undefined);
        begun.push({ size, result });
        total += size;
        next = rest.next();
      }
      const first = begun.shift();
      if (first === undefined) return undefined;
      yield await first.result;
      total -= first.size;
    }
  } finally {
    await Promise.allSettled(begun.map(({ result }) => result));
  }
}
