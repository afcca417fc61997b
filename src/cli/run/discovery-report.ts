/** What is told of the search for images. */
import type { Discovery } from '../../images/discover.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** Says what went wrong on the way, and on request everything that is left out and why. */
export function reportDiscovery({ warnings, leftOut }: Discovery, verbose: boolean, terminal: Terminal): void {
  for (const warning of warnings) terminal.say(warning);
  if (!verbose) return;
  for (const { path, reason } of leftOut.paths) terminal.say(`${path}: left out (${reason}).`);
}

/** `1 folder could not be read. 7 other files left out: 3 .mov, 4 .txt.`, as far as it is so. */
export function describeMissing({
  unreadableFolders,
  leftOut,
}: Pick<Discovery, 'unreadableFolders' | 'leftOut'>): string[] {
  const folders = unreadableFolders === 1 ? '1 folder' : `${unreadableFolders} folders`;
  const sentences = unreadableFolders === 0 ? [] : [`${folders} could not be read.`];
  if (leftOut.sentence !== undefined) sentences.push(leftOut.sentence);
  return sentences;
}
