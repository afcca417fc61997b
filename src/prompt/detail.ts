/**
 * How a family of models is asked for a detailed description (`detail` in `prompts/NAME.json`). A model that takes instructions is told to
 * describe in detail, in one of several wordings, and to go on where it wrote little: so MiniGPT-4 made its own training data. A model
 * that takes none can only be decoded for longer captions, by one of its presets.
 */
import type { ObjectReader } from '../pack/object-reader.ts';
import type { Preset } from './preset.ts';

/** What is said next to a model whose description is short. */
export type GoOn = {
  request: string;
  /** Descriptions of fewer tokens are short. */
  belowTokens: number;
};

export type Detail =
  | { kind: 'instructions'; instructions: readonly [string, ...string[]]; goOn: GoOn }
  | { kind: 'preset'; preset: string };

/**
 * Takes `detail` of a prompt file; undefined where the key is absent.
 *
 * @param presets those of the family
 * @throws PackError when a key is missing, unknown or mistyped, there is no instruction, or no such preset for captions.
 */
export function readDetail(root: ObjectReader, presets: readonly Preset[]): Detail | undefined {
  if (!root.has('detail')) return undefined;
  const reader = root.object('detail');
  const detail = reader.has('preset') ? readPreset(reader, presets) : readInstructions(reader);
  reader.refuseUnknownKeys();
  return detail;
}

function readPreset(reader: ObjectReader, presets: readonly Preset[]): Detail {
  const fitting = presets.filter(({ tasks }) => tasks.includes('caption')).map(({ name }) => name);
  return { kind: 'preset', preset: reader.oneOf('preset', fitting) };
}

function readInstructions(reader: ObjectReader): Detail {
  const [first, ...others] = reader.strings('instructions');
  if (first === undefined) return reader.fail('instructions', 'a list of at least one instruction');
  const goOn = reader.object('go_on');
  const request = goOn.string('request');
  const belowTokens = goOn.integer('below_tokens');
  goOn.refuseUnknownKeys();
  return { kind: 'instructions', instructions: [first, ...others], goOn: { request, belowTokens } };
}
