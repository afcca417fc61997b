/** The meaning of a line that is typed in a conversation: a question, or a command that begins with a slash. */

export type ChatInput =
  | { kind: 'question'; question: string }
  | { kind: 'nothing' | 'help' | 'reset' | 'quit' }
  | { kind: 'image' | 'save'; path: string }
  /** A command that does not exist, or lacks its path. */
  | { kind: 'mistake'; message: string };

export const CHAT_HELP = `/reset        forget the conversation and start again
/image PATH   talk about another image
/save FILE    write the conversation to a new file (.txt or .jsonl)
/help         show this list
/quit         leave the chat, as Ctrl-D does

Ctrl-C stops an answer. To ask a question that begins with a slash, type a space first.
`;

const WITHOUT_PATH = ['help', 'reset', 'quit'] as const;
const WITH_PATH = ['image', 'save'] as const;

export function readChatInput(line: string): ChatInput {
  if (line.trim() === '') return { kind: 'nothing' };
  if (!line.startsWith('/')) return { kind: 'question', question: line.trim() };
  const [, name = '', rest = ''] = /^\/(\S*)\s*(.*)$/su.exec(line) ?? [];
  const argument = unquoted(rest.trim());
  const plain = WITHOUT_PATH.find((command) => command === name);
  if (plain !== undefined) {
    return argument === ''
      ? { kind: plain }
      : { kind: 'mistake', message: `/${plain} is used alone, without any text after it.` };
  }
  const withPath = WITH_PATH.find((command) => command === name);
  if (withPath === undefined) {
    return { kind: 'mistake', message: `unknown command /${name}. /help lists the commands.` };
  }
  if (argument === '') return { kind: 'mistake', message: `/${withPath} needs the path of a file.` };
  return { kind: withPath, path: argument };
}

/** Terminals put quotes around a path that is dropped on them. */
function unquoted(path: string): string {
  return /^(['"])(.+)\1$/su.exec(path)?.[2] ?? path;
}
