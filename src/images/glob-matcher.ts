/**
 * Tests paths against `--exclude` patterns.
 *
 * fast-glob finds files for a pattern but offers no test of one path, and excluded files may lie anywhere, also outside the working
 * folder. The rules are those of .gitignore that people know: a pattern without a slash speaks of any file or folder of that name, and
 * what excludes a folder excludes everything in it.
 */

/** Says whether a path, with `/` between folders, is excluded. */
export type PathMatcher = (path: string) => boolean;

/** Combines patterns into one matcher: `*` and `?` within a name, `**` across folders, `[abc]`, `[!abc]`, `{a,b}`, `\` to escape. */
export function excludeMatcher(patterns: readonly string[]): PathMatcher {
  const expressions = patterns.map((pattern) => {
    const rooted = pattern.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
    const anywhere = rooted.includes('/') ? '' : '(?:.*/)?';
    return new RegExp(`^${anywhere}${toExpression(rooted)}(?:/.*)?$`, 'su');
  });
  return (path) => expressions.some((expression) => expression.test(path));
}

const TOKEN = /\*\*\/|\/\*\*$|\*+|\[!?\]?[^\]/]*\]|\\[^]|[^]/gu;

function toExpression(pattern: string): string {
  const tokens = pattern.match(TOKEN) ?? [];
  let expression = '';
  let openBraces = 0;
  for (const [index, token] of tokens.entries()) {
    if (token === '**/') expression += '(?:.*/)?';
    else if (token === '/**') expression += '/.*';
    else if (token === '**') expression += '.*';
    else if (token.startsWith('*')) expression += '[^/]*';
    else if (token === '?') expression += '[^/]';
    else if (token.startsWith('[') && token.length > 2) expression += characterClass(token);
    else if (token === '{' && closes(tokens.slice(index))) {
      expression += '(?:';
      openBraces++;
    } else if (token === '}' && openBraces > 0) {
      expression += ')';
      openBraces--;
    } else if (token === ',' && openBraces > 0) expression += '|';
    else expression += escapeLiteral(token.startsWith('\\') && token.length > 1 ? token.slice(1) : token);
  }
  return expression;
}

/** Whether the brace that `tokens` begin with has its partner. One without stands for itself. */
function closes(tokens: readonly string[]): boolean {
  let depth = 0;
  for (const token of tokens) {
    if (token === '{') depth++;
    if (token === '}' && --depth === 0) return true;
  }
  return false;
}

function characterClass(token: string): string {
  const negated = token.startsWith('[!') || token.startsWith('[^');
  const members = token.slice(negated ? 2 : 1, -1).replaceAll(/[\\\]^[&]/g, String.raw`\$&`);
  // A slash never belongs to a name, so a negated class must not match it.
  const expression = `[${negated ? '^/' : ''}${members}]`;
  return members === '' || !isExpression(expression) ? escapeLiteral(token) : expression;
}

/** False for a range that runs backwards, such as `z-a`. */
function isExpression(source: string): boolean {
  try {
    return new RegExp(source, 'u').source !== '';
  } catch {
    return false;
  }
}

function escapeLiteral(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
