/** A run of `caption` or `ask`: the model writes text. */
import type { Model } from '../../engine/model.ts';
import { decodeFile } from '../../pipeline/bounded-decoder.ts';
import { requestsOf } from '../../pipeline/records.ts';
import { answerImages } from '../../pipeline/run.ts';
import type { Task } from '../../pipeline/settings.ts';
import { prepare } from './preparation.ts';
import { runStream, type PreparedRun } from './stream.ts';
import type { RunOptions } from '../options/settings.ts';
import type { Terminal } from '../terminal/terminal.ts';

/**
 * Does `task` for the images of `paths`.
 *
 * @returns the exit code of a run that ended by itself, was interrupted, or whose reader closed the pipe.
 * @throws the error that kept it from starting or continuing.
 */
export async function runCommand(task: Task, paths: readonly string[], options: RunOptions): Promise<number> {
  const kind = task.kind === 'caption' && options.allWordings === true ? 'wordings' : task.kind;
  return runStream(kind, options, async (terminal, interrupted): Promise<PreparedRun<Model>> => {
    const { task: completed, ...prepared } = await prepare(task, paths, options, terminal, interrupted);
    const { discovery, pack, settings, loadOptions } = prepared;
    const { files } = discovery;
    const { loadModel } = await import('../../engine/load-model.ts');
    const { image } = pack.declaration;
    return {
      discovery,
      load: async () => loadModel(pack, loadOptions),
      onReady: (model) => {
        if (options.showPrompt === true) showPrompts(completed, model, terminal);
      },
      outcomes: (model, signal) => answerImages({ files, image, model, settings, pixels: decodeFile, signal }),
    };
  });
}

/** Each distinct prompt, in quotes, because a space at its end matters and would not be visible; and the request that follows a short answer. */
function showPrompts(task: Task, model: Model, terminal: Terminal): void {
  const prompts = requestsOf(task, model).map(({ prompt }) => prompt);
  for (const text of new Set(prompts.map((prompt) => prompt.text))) terminal.say(`prompt ${JSON.stringify(text)}`);
  const [followUp] = prompts.flatMap((prompt) => prompt.followUp ?? []);
  if (followUp === undefined) return;
  const { request, belowTokens } = followUp;
  terminal.say(`prompt after an answer of fewer than ${belowTokens} tokens: ${JSON.stringify(request)}`);
}
