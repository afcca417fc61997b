/**
 * A language model that reads a prompt with an encoder and writes with a decoder (T5): the forward pass, and nothing of how tokens are chosen.
 *
 * B rows, T positions of the longest prompt, d hidden size, V vocabulary rows.
 */
import { join } from 'node:path';
import { PackError } from '../errors.ts';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import type { Compute } from '../runtime/compute.ts';
import { float32Data, float32Tensor, int32Tensor, int64Tensor, Session, type Tensor } from '../runtime/session.ts';
import { EncoderDecoderCache } from './encoder-decoder-cache.ts';
import { ownCache, type LanguageModel, type Prefilled, type RowCache, type RowEmbeds } from './language-model.ts';
import { TokenEmbeddings } from './token-embeddings.ts';

type Graphs = { embeddings: TokenEmbeddings; encoder: Session; crossKv: Session; decoder: Session };

/** Holds native memory: dispose of it. */
export class EncoderDecoder implements LanguageModel {
  readonly declaration: LanguageDeclaration;
  readonly #startTokenId: number;
  readonly #graphs: Graphs;

  private constructor(declaration: LanguageDeclaration, startTokenId: number, graphs: Graphs) {
    this.declaration = declaration;
    this.#startTokenId = startTokenId;
    this.#graphs = graphs;
  }

  /**
   * @param directory of the pack
   * @throws PackError when a graph is missing or damaged, or the declaration lacks what the decoder begins with.
   */
  static async load(directory: string, language: LanguageDeclaration, compute: Compute): Promise<EncoderDecoder> {
    const { decoderStartTokenId } = language;
    if (decoderStartTokenId === undefined) {
      throw new PackError(
        directory,
        'model.json describes an encoder-decoder language model without decoder_start_token_id. Import the model again.',
      );
    }
    const opened: { dispose(): Promise<void> }[] = [];
    const { hiddenSize, numKeyValueHeads, headDim, vocabSize } = language;
    const shapes = {
      inputs_embeds: ['B', 'T', hiddenSize],
      last_hidden_state: ['B', 'T', hiddenSize],
      'past_key_values.0.decoder.key': ['B', numKeyValueHeads, 'C', headDim],
      logits: ['B', vocabSize],
    };
    const open = async (name: string, inputs: string[], outputs: string[]): Promise<Session> => {
      const session = await Session.open(join(directory, name), { compute, inputs, outputs, shapes });
      opened.push(session);
      return session;
    };
    const own = sideNames(language, 'decoder');
    const cross = sideNames(language, 'encoder');
    const past = [...own, ...cross].map((name) => `past_key_values.${name}`);
    try {
      const embeddings = await TokenEmbeddings.load(directory, language);
      opened.push(embeddings);
      const graphs = {
        embeddings,
        encoder: await open('encoder.onnx', ['inputs_embeds', 'attention_mask'], ['last_hidden_state']),
        crossKv: await open('cross_kv.onnx', ['encoder_hidden_states'], present(cross)),
        decoder: await open(
          'decoder.onnx',
          ['inputs_embeds', 'position_ids', 'encoder_lengths', ...past],
          ['logits', ...present(own)],
        ),
      };
      return new EncoderDecoder(language, decoderStartTokenId, graphs);
    } catch (error) {
      for (const session of opened) await session.dispose();
      throw error;
    }
  }

  async embedTokens(tokenIds: readonly number[]): Promise<Float32Array> {
    return this.#graphs.embeddings.embed(tokenIds);
  }

  newCache(rows: number, maxLength: number): EncoderDecoderCache {
    const { numHiddenLayers, numKeyValueHeads, headDim } = this.declaration;
    return new EncoderDecoderCache({ rows, layers: numHiddenLayers, heads: numKeyValueHeads, maxLength, headDim });
  }

  /** Prompt and answer have a side of the cache each. The answer's also holds the token that it starts with. */
  positionsNeeded(promptLength: number, maxNewTokens: number): number {
    return Math.min(Math.max(promptLength, maxNewTokens + 1), this.declaration.maxPositionEmbeddings);
  }

  /** The last token of an answer is never read back, which leaves its place to the start token. */
  room(promptLength: number, maxLength: number): number {
    return promptLength <= maxLength ? maxLength : 0;
  }

  /** What the encoder makes of one prompt, [T, d]. */
  async encode(row: RowEmbeds): Promise<Float32Array> {
    return float32Data({ hidden: await this.#encode([row]) }, 'hidden');
  }

  async prefill(cache: RowCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Prefilled> {
    const crossKv = await this.#graphs.crossKv.run(
      { encoder_hidden_states: await this.#encode(rows) }, // [B, T, d]
      toFetch(present(sideNames(this.declaration, 'encoder'))),
    );
    const lengths = rows.map((row) => row.length);
    const own = ownCache(cache, EncoderDecoderCache);
    own.startRows(firstRow, lengths, crossKv);
    const startTokens = rows.map(() => this.#startTokenId);
    const logits = await this.#write(
      own,
      firstRow,
      startTokens,
      rows.map(() => 0),
    ); // [B, V]
    return { logits, lengths: rows.map(() => 1) };
  }

  async step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    const own = ownCache(cache, EncoderDecoderCache);
    own.settle(pastLengths);
    return this.#write(own, 0, tokenIds, pastLengths);
  }

  async dispose(): Promise<void> {
    for (const graph of Object.values(this.#graphs)) await graph.dispose();
  }

  /** Shorter rows are padded on the right, where no query of theirs looks. Returns [B, T, d]. */
  async #encode(rows: readonly RowEmbeds[]): Promise<Tensor> {
    const { hiddenSize } = this.declaration;
    const longest = Math.max(...rows.map((row) => row.length));
    const inputsEmbeds = new Float32Array(rows.length * longest * hiddenSize); // [B, T, d]
    rows.forEach((row, index) => inputsEmbeds.set(row.embeds, index * longest * hiddenSize));
    const mask = rows.flatMap(({ length }) =>
      Array.from({ length: longest }, (_, position) => Number(position < length)),
    );
    const results = await this.#graphs.encoder.run(
      {
        inputs_embeds: float32Tensor(inputsEmbeds, [rows.length, longest, hiddenSize]),
        attention_mask: int64Tensor(mask, [rows.length, longest]),
      },
      { last_hidden_state: null },
    );
    return float32Tensor(float32Data(results, 'last_hidden_state'), [rows.length, longest, hiddenSize]);
  }

  /** One token of each row through the decoder; its keys and values go into the cache. */
  async #write(
    cache: EncoderDecoderCache,
    firstRow: number,
    tokenIds: readonly number[],
    positions: readonly number[],
  ): Promise<Float32Array> {
    const rows = tokenIds.length;
    cache.decoder.reserve(Math.max(...positions) + 1);
    const results = await this.#graphs.decoder.run(
      {
        inputs_embeds: float32Tensor(await this.embedTokens(tokenIds), [rows, 1, this.declaration.hiddenSize]),
        position_ids: int64Tensor(positions, [rows, 1]),
        encoder_lengths: int32Tensor(cache.encoderLengths(firstRow, rows), [rows]),
        ...cache.inputs(firstRow, rows),
      },
      toFetch(['logits', ...present(sideNames(this.declaration, 'decoder'))]),
    );
    cache.decoder.write(
      results,
      firstRow,
      positions,
      positions.map(() => 1),
    );
    return float32Data(results, 'logits');
  }
}

/** `0.decoder.key`, `0.decoder.value`, `1.decoder.key`, … */
function sideNames({ numHiddenLayers }: LanguageDeclaration, side: 'decoder' | 'encoder'): string[] {
  return Array.from({ length: numHiddenLayers }, (_, n) => [`${n}.${side}.key`, `${n}.${side}.value`]).flat();
}

function present(names: readonly string[]): string[] {
  return names.map((name) => `present.${name}`);
}

function toFetch(names: readonly string[]): Record<string, null> {
  return Object.fromEntries(names.map((name) => [name, null]));
}
