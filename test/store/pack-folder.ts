/** Model packs for tests: a valid declaration around files of any content. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatModelDeclaration, type ModelDeclaration } from '../../src/pack/model-declaration.ts';

/** Writes a pack that declares `files` (path to content) as they are. */
export async function writePack(directory: string, id: string, files: Readonly<Record<string, string>> = {}) {
  await mkdir(directory, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  await writeFile(join(directory, 'model.json'), formatModelDeclaration(declarationOf(id, files)));
}

export function declarationOf(id: string, files: Readonly<Record<string, string>> = {}): ModelDeclaration {
  return {
    schema: 1,
    id,
    family: 'blip2-opt',
    promptFamily: 'blip2',
    precision: 'fp32',
    image: { imageSize: 8, rescaleFactor: 1 / 255, imageMean: [0.5, 0.4, 0.3], imageStd: [0.2, 0.25, 0.3] },
    numImageTokens: 4,
    bridge: 'queries',
    language: {
      kind: 'decoder-only',
      hiddenSize: 16,
      numHiddenLayers: 2,
      numAttentionHeads: 2,
      numKeyValueHeads: 2,
      headDim: 8,
      vocabSize: 100,
      maxPositionEmbeddings: 64,
      eosTokenIds: [50],
      decoderStartTokenId: undefined,
    },
    matching: [],
    storage: [{ path: 'decoder.onnx.data', storage: 'fp32', weights: 3, bytes: 48 }],
    source: { files: [{ path: 'model.safetensors', bytes: 3, sha256: sha256('abc') }] },
    files: Object.entries(files).map(([path, content]) => ({
      path,
      bytes: Buffer.byteLength(content),
      sha256: sha256(content),
    })),
  };
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
