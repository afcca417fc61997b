/** The work of `chat`: loads the model and the image, and has the conversation on a terminal or through a pipe. */
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { roomForText } from '../../engine/answer-room.ts';
import type { ChatSession } from '../../engine/chat/session.ts';
import { planCompute } from '../../engine/load-plan.ts';
import type { AnswerOptions } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import { ClosedPipe, StreamDestination } from '../../output/destination.ts';
import { jsonl } from '../../output/jsonl.ts';
import { text } from '../../output/text.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { abortable } from '../../pipeline/abortable.ts';
import { loadPromptFamily } from '../../prompt/prompt-family.ts';
import { resolvePack } from '../../store/packs.ts';
import { resolveLength } from '../options/answer-length.ts';
import { answerLines, type LineTally } from './lines.ts';
import { ChatTalk } from './talk.ts';
import { resolveDecoding, type DecodingOptions } from '../options/decoding.ts';
import { formatDuration } from '../terminal/duration.ts';
import { EXIT } from '../exit-codes.ts';
import { Interruption } from '../terminal/interruption.ts';
import { choosePreset } from '../options/preset.ts';
import { chooseModel } from '../options/settings.ts';
import { Terminal } from '../terminal/terminal.ts';

const DAMAGED_IMAGE = 'the JPEG is damaged; part of what the model sees may not be what was photographed.';

/** As typed. */
export type ChatFlags = Omit<DecodingOptions, 'beams' | 'lengthPenalty' | 'stop'> & {
  model?: string;
  threads?: number;
  maxNewTokens?: number;
  minNewTokens?: number;
  maxPixels: number;
  decodeTimeout: number;
  showPrompt?: boolean;
  details?: boolean;
  format?: 'text' | 'jsonl';
  debug?: boolean;
};

/**
 * Runs one conversation.
 *
 * @returns the exit code
 * @throws MinigptError when it cannot start or continue. That includes a first image that cannot be read.
 */
export async function runChat(image: string, flags: ChatFlags): Promise<number> {
  const began = performance.now();
  const terminal = new Terminal(process.stderr);
  const interruption = new Interruption();
  const { signal } = interruption;
  const tally: LineTally = { answered: 0, failed: 0 };
  let starting: Promise<ChatSession> | undefined;
  try {
    const { pack, options } = await abortable(prepareChat(flags), signal);
    const { ChatSession: Session } = await import('../../engine/chat/session.ts');
    starting = Session.start({ pack, compute: planCompute(flags.threads), options });
    const talk = new ChatTalk(await abortable(starting, signal), terminal, {
      pack,
      pixels: async (path) => {
        const { loadPixelValues } = await import('../../images/pixel-values.ts');
        const limits = {
          maxPixels: flags.maxPixels,
          decodeSeconds: flags.decodeTimeout,
          warn: () => terminal.say(`${path}: ${DAMAGED_IMAGE}`),
        };
        return loadPixelValues(path, pack.declaration.image, limits, signal);
      },
      details: flags.details === true,
      showPrompt: flags.showPrompt === true,
    });
    await abortable(talk.showImage(image), signal);

    const format = flags.format ?? (process.stdout.isTTY ? 'text' : 'jsonl');
    if (process.stdin.isTTY && process.stdout.isTTY && format === 'text') {
      return await chatOnTerminal(talk, pack, terminal, flags, interruption);
    }
    const lines = createInterface({ input: process.stdin, crlfDelay: Infinity, signal });
    const destination = new StreamDestination(process.stdout, 'standard output');
    const output = { format: { text, jsonl }[format], destination, messages: terminal, debug: flags.debug === true };
    await abortable(answerLines(talk, lines, output, tally, signal), signal);
    if (tally.answered + tally.failed === 0) {
      throw new UsageError('standard input contains no question. Write one question per line.');
    }
    terminal.say(`${describe(tally)}${tally.failed > 0 ? ',' : ''} in ${secondsSince(began)}.`);
    return tally.failed > 0 ? EXIT.someFailed : EXIT.ok;
  } catch (error) {
    // Ctrl-C reaches every program of a pipeline. The reader may be gone because of it, and that is still an interruption.
    const { interrupted } = interruption;
    if (interrupted !== undefined) {
      const written =
        tally.answered + tally.failed === 0 ? '' : `: ${describe(tally)}, and every written line is complete`;
      terminal.say(`${interrupted.word}${written}.`);
      return interrupted.exitCode;
    }
    if (error instanceof ClosedPipe) return EXIT.ok;
    throw error;
  } finally {
    const closed = starting?.then(
      async (session) => session.close(),
      () => undefined,
    );
    // What the model is at cannot be stopped. Who has interrupted the conversation does not wait for it; who has not may still do so.
    if (interruption.interrupted === undefined) {
      interruption.release();
      await closed;
    }
  }
}

async function chatOnTerminal(
  talk: ChatTalk,
  pack: Pack,
  terminal: Terminal,
  flags: ChatFlags,
  interruption: Interruption,
): Promise<number> {
  const { TerminalChat } = await import('./terminal-chat.ts');
  terminal.say(`talking about ${talk.image} with ${pack.declaration.id}. /help lists the commands, Ctrl-D leaves.`);
  const chat = new TerminalChat(talk, {
    input: process.stdin,
    output: process.stdout,
    messages: terminal,
    debug: flags.debug === true,
    leaveAtOnce: () => {
      interruption.release();
      process.kill(process.pid, 'SIGINT');
    },
  });
  return chat.run(interruption.signal);
}

/** @throws UsageError or PackError when the model cannot have a conversation with these lengths. */
async function prepareChat(flags: ChatFlags): Promise<{ pack: Pack; options: AnswerOptions }> {
  const pack = await resolvePack(chooseModel(flags, process.env));
  const { declaration } = pack;
  const { id, promptFamily, language } = declaration;
  if (promptFamily === undefined || language === undefined)
    throw new UsageError(`the model ${id} has no language model, so it cannot chat.`);
  const { defaults, presets } = await loadPromptFamily(promptFamily);
  const preset = choosePreset(flags.preset, 'chat', presets, declaration);
  const usual = { ...defaults.chat, ...preset };
  const fitting = { ...usual, maxNewTokens: Math.min(usual.maxNewTokens, roomForText(language, declaration)) };
  return {
    pack,
    options: {
      ...resolveLength(flags, fitting, preset, declaration),
      ...resolveDecoding(flags, preset),
      score: flags.details === true,
    },
  };
}

function describe({ answered, failed }: LineTally): string {
  const counts = `${answered} ${answered === 1 ? 'question' : 'questions'} answered`;
  return failed === 0 ? counts : `${counts}, ${failed} failed`;
}

function secondsSince(began: number): string {
  return formatDuration((performance.now() - began) / 1000);
}
