/** Rules that turn the names of a published layout into those the architectures ask for: Hugging Face's, where it has them. */

/** A tensor that is known and of no use here, with the reason that is shown to the user. */
export type UnneededRule = { pattern: RegExp; unneeded: string };

export type NameRule =
  /** A name the architectures know; `name` may use the pattern's groups. */
  { pattern: RegExp; name: string } | UnneededRule;

export type Renamed = { name: string } | { unneeded: string };

/** `rename` with these rules. */
export function renaming(rules: readonly NameRule[]): (name: string) => Renamed | undefined {
  return (name) => rename(name, rules);
}

/** What the first matching rule makes of a name; undefined for a name that nobody expects. */
export function rename(name: string, rules: readonly NameRule[]): Renamed | undefined {
  for (const rule of rules) {
    if (!rule.pattern.test(name)) continue;
    return 'name' in rule ? { name: name.replace(rule.pattern, rule.name) } : { unneeded: rule.unneeded };
  }
  return undefined;
}
