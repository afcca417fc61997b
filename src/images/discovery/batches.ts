/** Questions to the system, several at a time: one after the other they would mostly wait. */

/** More than the threads that Node asks the system with, and few enough that open files never run out. */
const AT_ONE_TIME = 32;

/**
 * What `ask` gives for each item, in order.
 *
 * @throws the reason of `signal` when it is aborted, between two batches
 */
export async function* inBatches<Item, Answer>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Answer>,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ item: Item; answer: Answer }, void, void> {
  for (let at = 0; at < items.length; at += AT_ONE_TIME) {
    signal?.throwIfAborted();
    const batch = items.slice(at, at + AT_ONE_TIME);
    yield* await Promise.all(batch.map(async (item) => ({ item, answer: await ask(item) })));
  }
}
