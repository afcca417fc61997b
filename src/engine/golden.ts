/**
 * The golden form: what a reference implementation computed from a checkpoint, stage by stage (golden.json and golden.safetensors).
 * Read here at the border, compared in `golden-check.ts`.
 */
import { ObjectReader } from '../pack/object-reader.ts';

export type GoldenPrompt = {
  segments: readonly string[];
  /** Token ids of each text segment; null for the image. */
  segmentIds: readonly (readonly number[] | null)[];
};

/** Logits after a prompt, and perhaps after further ids that are fed one by one. */
export type GoldenProbe = { index: number; image: number; prompt: number; forcedIds: readonly number[] };

export type GoldenCase = {
  image: number;
  prompt: number;
  maxNewTokens: number;
  minNewTokens: number;
  /** Options of the case beyond those two, as written: this version cannot decode with them. */
  otherOptions: readonly string[];
  ids: readonly number[];
  /** Absent where the reference ran into the length limit and recorded none. */
  text: string | undefined;
  finishReason: string;
};

export type Golden = {
  family: string;
  /** Names of the images; their order is that of the rows of `pixel_values`. */
  images: readonly string[];
  /** Images that the stage tensors cover: the first ones. */
  stageImages: number;
  tolerance: { hidden: number; logits: number };
  prompts: readonly GoldenPrompt[];
  probes: readonly GoldenProbe[];
  cases: readonly GoldenCase[];
  /** A tensor of golden.safetensors as float32, or undefined where there is none. */
  tensor: (name: string) => Promise<Float32Array | undefined>;
};

/**
 * Validates the text of a golden.json.
 *
 * @throws PackError when it is not of schema 1 or a key is mistyped.
 */
export function parseGolden(text: string, path: string, tensor: Golden['tensor']): Golden {
  const root = ObjectReader.parse(text, path);
  if (root.integer('schema') !== 1) root.fail('schema', '1');
  const images = root.strings('images');
  const tolerance = root.object('tolerance');
  return {
    family: root.string('family'),
    images,
    stageImages: root.has('stageImages') ? root.integer('stageImages') : images.length,
    tolerance: { hidden: tolerance.number('hidden'), logits: tolerance.number('logits') },
    prompts: root.list('prompts').map((prompt) => ({
      segments: prompt.strings('segments'),
      segmentIds: prompt.arrays('segmentIds'),
    })),
    probes: (root.has('probes') ? root.list('probes') : []).map((probe, index) => ({
      index,
      image: probe.integer('image'),
      prompt: probe.integer('prompt'),
      forcedIds: probe.has('forcedIds') ? probe.integers('forcedIds') : [],
    })),
    cases: root.list('cases').map((golden) => {
      const options = golden.object('options');
      const known = ['maxNewTokens', 'minNewTokens'];
      return {
        image: golden.integer('image'),
        prompt: golden.integer('prompt'),
        maxNewTokens: options.integer('maxNewTokens'),
        minNewTokens: options.has('minNewTokens') ? options.integer('minNewTokens') : 0,
        otherOptions: options.keys().filter((key) => !known.includes(key)),
        ids: golden.integers('ids'),
        text: golden.has('text') ? golden.string('text') : undefined,
        finishReason: golden.string('finishReason'),
      };
    }),
    tensor,
  };
}
