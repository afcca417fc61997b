/** Names out of an untrusted file, fit for a message. */
const MAX_LENGTH = 80;

/** A name that is cut where it is long. */
export function cut(name: string): string {
  return name.length > MAX_LENGTH ? `${name.slice(0, MAX_LENGTH - 1)}…` : name;
}

/** A name in quotes, with what cannot be seen escaped, and cut where it is long. */
export function quoted(name: string): string {
  return JSON.stringify(cut(name));
}
