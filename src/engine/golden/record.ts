/**
 * The golden form: what a reference implementation computed from a checkpoint, stage by stage (golden.json and golden.safetensors).
 * Read here at the border, compared in `golden-check.ts`.
 */
import { ObjectReader } from '../../pack/object-reader.ts';

export type GoldenPrompt = {
  /** What the user asked, where the segments come from a template. */
  question: string | undefined;
  /** A published setting that the prompt belongs to. */
  preset: string | undefined;
  segments: readonly string[];
  /** Token ids of each text segment; null for the image. */
  segmentIds: readonly (readonly number[] | null)[];
  /** Token ids that the Q-Former reads, for models whose Q-Former does. */
  qformerIds: readonly number[] | undefined;
};

/** Logits after a prompt, and perhaps after further ids that are fed one by one. */
export type GoldenProbe = { index: number; image: number; prompt: number; forcedIds: readonly number[] };

/** How a text is decoded, as far as this version can. */
export type GoldenOptions = {
  maxNewTokens: number;
  minNewTokens: number;
  repetitionPenalty: number;
  noRepeatNgram: number;
  /** 1 for a text that is decoded greedily. */
  beams: number;
  lengthPenalty: number;
  /** Names of further options: this version cannot decode with them. */
  others: readonly string[];
};

export type GoldenCase = {
  image: number;
  /** Undefined for a text that the Q-Former writes by itself. */
  prompt: number | undefined;
  options: GoldenOptions;
  ids: readonly number[];
  /** Absent where the reference recorded none. */
  text: string | undefined;
  finishReason: string;
  /** What its beams were ranked by, where the reference recorded it. */
  score: number | undefined;
};

export type GoldenTurn = GoldenPrompt & { ids: readonly number[]; answer: string };

export type GoldenConversation = {
  image: number;
  options: GoldenOptions;
  stopSequences: readonly (readonly number[])[];
  eosTokenId: number;
  turns: readonly GoldenTurn[];
};

/** A text to be matched with every image; `processed` where the reference changes it before it is tokenized. */
export type GoldenText = { text: string; processed: string; ids: readonly number[] };

export type Golden = {
  family: string;
  /** Names of the images; their order is that of the rows of `pixel_values`. */
  images: readonly string[];
  /** Images that the stage tensors cover: the first ones. */
  stageImages: number;
  /** Ids that end the texts of `cases`. */
  stopIds: readonly number[];
  /** Largest differences: `scores` of matching, `score` of beams. */
  tolerance: { hidden: number; logits: number; scores: number; score: number };
  prompts: readonly GoldenPrompt[];
  probes: readonly GoldenProbe[];
  cases: readonly GoldenCase[];
  conversations: readonly GoldenConversation[];
  texts: readonly GoldenText[];
  /** A tensor of golden.safetensors as float32, or undefined where there is none. */
  tensor: (name: string) => Promise<Float32Array | undefined>;
};

/** Where a record does not say how far a stage may be off. */
const DEFAULT_TOLERANCE = { hidden: 1e-4, logits: 5e-4, scores: 1e-4, score: 1e-3 };

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
  const listOf = (key: string): ObjectReader[] => (root.has(key) ? root.list(key) : []);
  const toleranceOf = (key: keyof Golden['tolerance']): number =>
    tolerance.has(key) ? tolerance.number(key) : DEFAULT_TOLERANCE[key];
  return {
    family: root.string('family'),
    images,
    stageImages: root.has('stageImages') ? root.integer('stageImages') : images.length,
    stopIds: root.has('stopIds') ? root.integers('stopIds') : [],
    tolerance: {
      hidden: toleranceOf('hidden'),
      logits: toleranceOf('logits'),
      scores: toleranceOf('scores'),
      score: toleranceOf('score'),
    },
    prompts: listOf('prompts').map(readPrompt),
    probes: listOf('probes').map((probe, index) => ({
      index,
      image: probe.integer('image'),
      prompt: probe.integer('prompt'),
      forcedIds: probe.has('forcedIds') ? probe.integers('forcedIds') : [],
    })),
    cases: listOf('cases').map(readCase),
    conversations: listOf('conversations').map(readConversation),
    texts: listOf('texts').map((entry) => ({
      text: entry.string('text'),
      processed: entry.has('processed') ? entry.string('processed') : entry.string('text'),
      ids: entry.integers('ids'),
    })),
    tensor,
  };
}

function readPrompt(prompt: ObjectReader): GoldenPrompt {
  return {
    question: prompt.has('question') ? prompt.string('question') : undefined,
    preset: prompt.has('preset') ? prompt.string('preset') : undefined,
    segments: prompt.strings('segments'),
    segmentIds: prompt.arrays('segmentIds'),
    qformerIds: prompt.has('qformerIds') ? prompt.integers('qformerIds') : undefined,
  };
}

function readOptions(options: ObjectReader): GoldenOptions {
  const known = ['maxNewTokens', 'minNewTokens', 'repetitionPenalty', 'noRepeatNgram', 'beams', 'lengthPenalty'];
  return {
    maxNewTokens: options.integer('maxNewTokens'),
    minNewTokens: options.has('minNewTokens') ? options.integer('minNewTokens') : 0,
    repetitionPenalty: options.has('repetitionPenalty') ? options.number('repetitionPenalty') : 1,
    noRepeatNgram: options.has('noRepeatNgram') ? options.integer('noRepeatNgram') : 0,
    beams: options.has('beams') ? options.integer('beams') : 1,
    lengthPenalty: options.has('lengthPenalty') ? options.number('lengthPenalty') : 1,
    others: options.keys().filter((key) => !known.includes(key)),
  };
}

function readCase(recorded: ObjectReader): GoldenCase {
  if (recorded.has('task')) recorded.oneOf('task', ['itg']);
  return {
    image: recorded.integer('image'),
    prompt: recorded.has('task') ? undefined : recorded.integer('prompt'),
    options: readOptions(recorded.object('options')),
    ids: recorded.integers('ids'),
    text: recorded.has('text') ? recorded.string('text') : undefined,
    finishReason: recorded.string('finishReason'),
    score: recorded.has('score') ? recorded.number('score') : undefined,
  };
}

function readConversation(conversation: ObjectReader): GoldenConversation {
  return {
    image: conversation.integer('image'),
    options: readOptions(conversation.object('options')),
    stopSequences: conversation
      .arrays('stopSequences')
      .map((sequence) => sequence ?? conversation.fail('stopSequences', 'a list of lists of whole numbers')),
    eosTokenId: conversation.integer('eos'),
    turns: conversation.list('turns').map((turn) => ({
      ...readPrompt(turn),
      ids: turn.integers('ids'),
      answer: turn.string('answer'),
    })),
  };
}
