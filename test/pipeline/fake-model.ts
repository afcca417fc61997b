/** A model without weights: it answers with what the test tells it to, and counts what is asked of it. */
import type { Answer, AnswerOptions, Model, TokenizedPrompt } from '../../src/engine/model.ts';
import type { ImageError } from '../../src/errors.ts';
import type { Pack } from '../../src/pack/model-declaration.ts';
import { PromptFamily } from '../../src/prompt/prompt-family.ts';

export const IMAGE = {
  imageSize: 2,
  rescaleFactor: 1 / 255,
  imageMean: [0, 0, 0],
  imageStd: [1, 1, 1],
} as const;

const PACK: Pack = {
  directory: '/packs/fake',
  digest: 'f00dcafe0123456789abcdef',
  declaration: {
    schema: 1,
    id: 'fake',
    family: 'blip2-opt',
    promptFamily: 'fake',
    precision: 'fp32',
    image: IMAGE,
    numImageTokens: 4,
    bridge: 'queries',
    language: {
      kind: 'decoder-only',
      hiddenSize: 8,
      numHiddenLayers: 1,
      numAttentionHeads: 1,
      numKeyValueHeads: 1,
      headDim: 8,
      vocabSize: 10,
      maxPositionEmbeddings: 64,
      eosTokenIds: [2],
      decoderStartTokenId: undefined,
    },
    matching: [],
    storage: [],
    source: { files: [] },
    files: [],
  },
};

const PROMPTS = {
  schema: 1,
  caption: { template: '<image>{prompt}', prompt: '', max_new_tokens: 30, min_new_tokens: 0 },
  question: { template: '<image>Q: {question} A:', max_new_tokens: 10, min_new_tokens: 0 },
  conversation: {
    template: '<image>{turns}Q: {question} A:',
    turn: 'Q: {question} A: {answer}. ',
    max_new_tokens: 30,
    min_new_tokens: 0,
  },
  add_special_tokens: 'all',
  reads_instruction: false,
  clean_up: { answer: [], generated: [] },
  stop_tokens: [],
};

/** What the fake makes of an image (by the first number of its pixels) and a prompt. */
export type Reply = (
  image: number,
  prompt: string,
  options: AnswerOptions,
) => Answer | ImageError | Promise<Answer | ImageError>;

export function answer(text: string): Answer {
  return { text, tokenIds: [5, 2], finishReason: 'stop', score: -0.5 };
}

export class FakeModel implements Model {
  readonly pack = PACK;
  readonly prompts = PromptFamily.parse(JSON.stringify(PROMPTS), 'fake.json');
  readonly imagesInFlight: number;
  readonly #reply: Reply;
  /** Images inside `answer` now, and the most there ever were. */
  inFlight = 0;
  mostInFlight = 0;
  /** How many images were ever given. */
  images = 0;

  constructor(imagesInFlight: number, reply: Reply) {
    this.imagesInFlight = imagesInFlight;
    this.#reply = reply;
  }

  captionPrompt(prompt?: string): TokenizedPrompt {
    return { text: this.prompts.caption(prompt).text, segments: [null, [2]], instruction: undefined };
  }

  questionPrompt(question: string): TokenizedPrompt {
    return { text: this.prompts.question(question).text, segments: [null, [2]], instruction: undefined };
  }

  async answer(
    pixelValues: Float32Array,
    prompts: readonly TokenizedPrompt[],
    options: AnswerOptions,
  ): Promise<(Answer | ImageError)[]> {
    this.images += 1;
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    try {
      const image = pixelValues[0] ?? Number.NaN;
      return await Promise.all(prompts.map(async ({ text }) => this.#reply(image, text, options)));
    } finally {
      this.inFlight -= 1;
    }
  }

  async close(): Promise<void> {}
}
