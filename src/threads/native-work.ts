/**
 * Native work that is under way: a picture that is being decoded, a thread that computes. Nothing can stop it, and Node waits for it before it ends
 * the process, however long it takes; so who ends the process asks here first.
 */

let open = 0;

/** `work`, which counts as native work until it is done. */
export async function nativeWork<Result>(work: Promise<Result>): Promise<Result> {
  open++;
  try {
    return await work;
  } finally {
    open--;
  }
}

/** How much of it there is. */
export function openNativeWork(): number {
  return open;
}
