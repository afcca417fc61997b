/** What a graph is computed with. */
export type Compute = {
  /** Threads that share one run of a graph. */
  threads: number;
};
