/** The table of token embeddings as a graph of its own, so that image tokens can be put between them before any layer runs. */
import { join } from 'node:path';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import { float32Data, int64Tensor, Session } from '../runtime/session.ts';

export class TokenEmbeddings {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /**
   * @param directory of the pack
   * @throws PackError when the graph is missing or damaged, or its embeddings are of another width than the language model's.
   */
  static async load(
    directory: string,
    { hiddenSize }: Pick<LanguageDeclaration, 'hiddenSize'>,
  ): Promise<TokenEmbeddings> {
    const session = await Session.open(join(directory, 'embed_tokens.onnx'), {
      compute: { threads: 1 },
      inputs: ['input_ids'],
      outputs: ['inputs_embeds'],
      shapes: { inputs_embeds: ['B', 'T', hiddenSize] },
    });
    return new TokenEmbeddings(session);
  }

  /** Embeddings of tokens, [T, d]. */
  async embed(tokenIds: readonly number[]): Promise<Float32Array> {
    const results = await this.#session.run(
      { input_ids: int64Tensor(tokenIds, [1, tokenIds.length]) },
      { inputs_embeds: null },
    );
    return float32Data(results, 'inputs_embeds');
  }

  async dispose(): Promise<void> {
    await this.#session.dispose();
  }
}
