/** What ends a row beside its end tokens: the end of a chat turn, a text that the user named. */

export interface StopRule {
  /** Begins with a row that has written nothing yet. */
  start(): StopCheck;
}

/** A rule beside one row. */
export interface StopCheck {
  /** Takes the next token of the row. Returns whether the row ends with it; then it takes no more. */
  add(tokenId: number): boolean;
  /** A copy for another row that goes on from here. */
  fork(): StopCheck;
}
