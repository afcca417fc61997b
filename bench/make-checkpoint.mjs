#!/usr/bin/env node
/**
 * Writes checkpoints of random numbers with the true shapes and files of published ones, so that importing and running can be tried at the
 * size that users have. What such a model writes is nonsense.
 *
 *     node bench/make-checkpoint.mjs blip2-opt-2.7b --tokenizer DIR --out /tmp/big          # 15.0 GB, two shards, float32
 *     node bench/make-checkpoint.mjs blip2-flan-t5-xl --tokenizer DIR --out /tmp/big-t5     # 15.8 GB
 *     node bench/make-checkpoint.mjs minigpt4-vicuna-7b --tokenizer DIR --out /tmp/big-v    # 16.0 GB in four sources, half precision
 *
 * DIR holds a tokenizer.json and tokenizer_config.json of the language model's kind; its vocabulary may be smaller than the model's.
 */
import { copyFile, mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** @typedef {{ name: string, shape: number[], kind: 'matrix' | 'norm' | 'bias' }} Tensor */

const SHARD_BYTES = 10_000_000_000;
const BLOCK = 2 ** 22;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string' }, tokenizer: { type: 'string' }, seed: { type: 'string', default: '1' } },
});
const [model] = positionals;
const { out, tokenizer } = options;
if (model === undefined || out === undefined || tokenizer === undefined) {
  throw new Error('Use: node bench/make-checkpoint.mjs MODEL --tokenizer DIR --out DIR [--seed N]');
}

const random = mulberry32(Number(options.seed));
/** Normal numbers that every tensor takes a stretch of, beginning somewhere: fast, and no two rows are alike. */
const normals = Float32Array.from({ length: BLOCK }, gaussian);

/** @param {string} name @param {number[]} shape @returns {Tensor} */
const matrix = (name, shape) => ({ name, shape, kind: 'matrix' });
/** @param {string} name @param {number} size @returns {Tensor} */
const bias = (name, size) => ({ name, shape: [size], kind: 'bias' });
/** @param {string} prefix @param {number} outputs @param {number} inputs @returns {Tensor[]} */
const linear = (prefix, outputs, inputs) => [
  matrix(`${prefix}.weight`, [outputs, inputs]),
  bias(`${prefix}.bias`, outputs),
];
/** @param {string} prefix @param {number} size @returns {Tensor[]} */
const norm = (prefix, size) => [
  { name: `${prefix}.weight`, shape: [size], kind: 'norm' },
  bias(`${prefix}.bias`, size),
];
/** @param {string} name @param {number} size @returns {Tensor} */
const rms = (name, size) => ({ name, shape: [size], kind: 'norm' });

/** @param {number} layers @param {(n: number) => Tensor[]} make */
const repeat = (layers, make) => Array.from({ length: layers }, (_, n) => make(n)).flat();

const models = {
  'blip2-opt-2.7b': writeBlip2Opt,
  'blip2-flan-t5-xl': writeBlip2T5,
  'minigpt4-vicuna-7b': writeMinigpt4,
};
const write = models[/** @type {keyof typeof models} */ (model)];
if (write === undefined) throw new Error(`Known models: ${Object.keys(models).join(', ')}`);
await mkdir(out, { recursive: true });
await write(out, tokenizer);

/** @param {string} directory @param {string} tokenizerFolder */
async function writeBlip2Opt(directory, tokenizerFolder) {
  const [d, F, V] = [2560, 10_240, 50_304];
  const decoder = 'language_model.model.decoder';
  const tensors = [
    ...hubVision(),
    ...hubQFormer(),
    ...linear('language_projection', d, 768),
    matrix(`${decoder}.embed_tokens.weight`, [V, d]),
    matrix(`${decoder}.embed_positions.weight`, [2050, d]),
    ...norm(`${decoder}.final_layer_norm`, d),
    ...repeat(32, (n) => [
      ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((name) =>
        linear(`${decoder}.layers.${n}.self_attn.${name}`, d, d),
      ),
      ...norm(`${decoder}.layers.${n}.self_attn_layer_norm`, d),
      ...linear(`${decoder}.layers.${n}.fc1`, F, d),
      ...linear(`${decoder}.layers.${n}.fc2`, d, F),
      ...norm(`${decoder}.layers.${n}.final_layer_norm`, d),
    ]),
  ];
  await writeShards(directory, tensors, 'F32');
  await writeHubConfigs(directory, tokenizerFolder, {
    model_type: 'opt',
    hidden_size: d,
    ffn_dim: F,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    word_embed_proj_dim: d,
    vocab_size: V,
    eos_token_id: 50_118,
  });
}

/** @param {string} directory @param {string} tokenizerFolder */
async function writeBlip2T5(directory, tokenizerFolder) {
  const [d, F, V, heads] = [2048, 5120, 32_128, 32];
  const lm = 'language_model';
  /** @param {string} prefix */
  const attention = (prefix) => ['q', 'k', 'v', 'o'].map((name) => matrix(`${prefix}.${name}.weight`, [d, d]));
  /** @param {string} prefix */
  const feedForward = (prefix) => [
    matrix(`${prefix}.DenseReluDense.wi_0.weight`, [F, d]),
    matrix(`${prefix}.DenseReluDense.wi_1.weight`, [F, d]),
    matrix(`${prefix}.DenseReluDense.wo.weight`, [d, F]),
    rms(`${prefix}.layer_norm.weight`, d),
  ];
  /** @param {string} stack @param {number} n */
  const self = (stack, n) => [
    ...attention(`${lm}.${stack}.block.${n}.layer.0.SelfAttention`),
    ...(n === 0
      ? [matrix(`${lm}.${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`, [32, heads])]
      : []),
    rms(`${lm}.${stack}.block.${n}.layer.0.layer_norm.weight`, d),
  ];
  const tensors = [
    ...hubVision(),
    ...hubQFormer(),
    ...linear('language_projection', d, 768),
    matrix(`${lm}.shared.weight`, [V, d]),
    ...repeat(24, (n) => [...self('encoder', n), ...feedForward(`${lm}.encoder.block.${n}.layer.1`)]),
    rms(`${lm}.encoder.final_layer_norm.weight`, d),
    ...repeat(24, (n) => [
      ...self('decoder', n),
      ...attention(`${lm}.decoder.block.${n}.layer.1.EncDecAttention`),
      rms(`${lm}.decoder.block.${n}.layer.1.layer_norm.weight`, d),
      ...feedForward(`${lm}.decoder.block.${n}.layer.2`),
    ]),
    rms(`${lm}.decoder.final_layer_norm.weight`, d),
    matrix(`${lm}.lm_head.weight`, [V, d]),
  ];
  await writeShards(directory, tensors, 'F32');
  await writeHubConfigs(directory, tokenizerFolder, {
    model_type: 't5',
    d_model: d,
    d_kv: 64,
    d_ff: F,
    num_layers: 24,
    num_decoder_layers: 24,
    num_heads: heads,
    vocab_size: V,
    feed_forward_proj: 'gated-gelu',
    dense_act_fn: 'gelu',
    is_gated_act: true,
    tie_word_embeddings: false,
    decoder_start_token_id: 0,
    eos_token_id: 1,
  });
}

/** @param {string} directory @param {string} tokenizerFolder */
async function writeMinigpt4(directory, tokenizerFolder) {
  const [d, F, V] = [4096, 11_008, 32_000];
  await writeFileOf(join(directory, 'eva_vit_g.safetensors'), evaVit(), 'F16');
  await writeFileOf(join(directory, 'blip2_pretrained_flant5xxl.safetensors'), lavisQFormer(), 'F32');
  const vicuna = join(directory, 'vicuna-7b');
  await mkdir(vicuna, { recursive: true });
  const tensors = [
    matrix('model.embed_tokens.weight', [V, d]),
    ...repeat(32, (n) => [
      ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) =>
        matrix(`model.layers.${n}.self_attn.${name}.weight`, [d, d]),
      ),
      matrix(`model.layers.${n}.mlp.gate_proj.weight`, [F, d]),
      matrix(`model.layers.${n}.mlp.up_proj.weight`, [F, d]),
      matrix(`model.layers.${n}.mlp.down_proj.weight`, [d, F]),
      rms(`model.layers.${n}.input_layernorm.weight`, d),
      rms(`model.layers.${n}.post_attention_layernorm.weight`, d),
    ]),
    rms('model.norm.weight', d),
    matrix('lm_head.weight', [V, d]),
  ];
  await writeShards(vicuna, tensors, 'F16');
  await writeJson(join(vicuna, 'config.json'), {
    model_type: 'llama',
    hidden_size: d,
    intermediate_size: F,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    vocab_size: V,
    rms_norm_eps: 1e-6,
    max_position_embeddings: 2048,
    eos_token_id: 2,
  });
  await copyTokenizer(tokenizerFolder, vicuna);
  await writeFileOf(join(directory, 'prerained_minigpt4_7b.safetensors'), linear('llama_proj', d, 768), 'F32');
}

/** The image encoder under the hub's names. */
function hubVision() {
  const D = 1408;
  const layer = 'vision_model.encoder.layers';
  return [
    matrix('vision_model.embeddings.class_embedding', [1, 1, D]),
    matrix('vision_model.embeddings.position_embedding', [1, 257, D]),
    matrix('vision_model.embeddings.patch_embedding.weight', [D, 3, 14, 14]),
    bias('vision_model.embeddings.patch_embedding.bias', D),
    ...repeat(39, (n) => [
      ...norm(`${layer}.${n}.layer_norm1`, D),
      ...linear(`${layer}.${n}.self_attn.qkv`, 3 * D, D),
      ...linear(`${layer}.${n}.self_attn.projection`, D, D),
      ...norm(`${layer}.${n}.layer_norm2`, D),
      ...linear(`${layer}.${n}.mlp.fc1`, 6144, D),
      ...linear(`${layer}.${n}.mlp.fc2`, D, 6144),
    ]),
    ...norm('vision_model.post_layernorm', D),
  ];
}

/** The image encoder as a bare state dict of the original, with the fortieth block that nobody uses. */
function evaVit() {
  const D = 1408;
  return [
    matrix('cls_token', [1, 1, D]),
    matrix('pos_embed', [1, 257, D]),
    matrix('patch_embed.proj.weight', [D, 3, 14, 14]),
    bias('patch_embed.proj.bias', D),
    ...repeat(40, (n) => [
      ...norm(`blocks.${n}.norm1`, D),
      bias(`blocks.${n}.attn.q_bias`, D),
      bias(`blocks.${n}.attn.v_bias`, D),
      matrix(`blocks.${n}.attn.qkv.weight`, [3 * D, D]),
      ...linear(`blocks.${n}.attn.proj`, D, D),
      ...norm(`blocks.${n}.norm2`, D),
      ...linear(`blocks.${n}.mlp.fc1`, 6144, D),
      ...linear(`blocks.${n}.mlp.fc2`, D, 6144),
    ]),
  ];
}

function hubQFormer() {
  const layer = 'qformer.encoder.layer';
  return [
    matrix('query_tokens', [1, 32, 768]),
    ...norm('qformer.layernorm', 768),
    ...repeat(12, (n) => qformerLayer(`${layer}.${n}`, n, 'attention')),
  ];
}

function lavisQFormer() {
  return [
    matrix('query_tokens', [1, 32, 768]),
    ...norm('ln_vision', 1408),
    ...norm('Qformer.bert.embeddings.LayerNorm', 768),
    ...repeat(12, (n) => qformerLayer(`Qformer.bert.encoder.layer.${n}`, n, 'self')),
    ...linear('t5_proj', 4096, 768),
  ];
}

/** @param {string} prefix @param {number} n @param {string} inner */
function qformerLayer(prefix, n, inner) {
  /** @param {string} name @param {number} keys */
  const attention = (name, keys) => [
    ...linear(`${prefix}.${name}.${inner}.query`, 768, 768),
    ...linear(`${prefix}.${name}.${inner}.key`, 768, keys),
    ...linear(`${prefix}.${name}.${inner}.value`, 768, keys),
    ...linear(`${prefix}.${name}.output.dense`, 768, 768),
    ...norm(`${prefix}.${name}.output.LayerNorm`, 768),
  ];
  return [
    ...attention('attention', 768),
    ...(n % 2 === 0 ? attention('crossattention', 1408) : []),
    ...linear(`${prefix}.intermediate_query.dense`, 3072, 768),
    ...linear(`${prefix}.output_query.dense`, 768, 3072),
    ...norm(`${prefix}.output_query.LayerNorm`, 768),
  ];
}

/** @param {string} directory @param {string} tokenizerFolder @param {object} textConfig */
async function writeHubConfigs(directory, tokenizerFolder, textConfig) {
  await writeJson(join(directory, 'config.json'), {
    model_type: 'blip-2',
    num_query_tokens: 32,
    vision_config: { model_type: 'blip_2_vision_model' },
    qformer_config: { model_type: 'blip_2_qformer' },
    text_config: textConfig,
  });
  await writeJson(join(directory, 'preprocessor_config.json'), {
    do_resize: true,
    do_rescale: true,
    do_normalize: true,
    resample: 3,
    rescale_factor: 1 / 255,
    size: { height: 224, width: 224 },
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
  });
  await copyTokenizer(tokenizerFolder, directory);
}

/** @param {string} from @param {string} to */
async function copyTokenizer(from, to) {
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(from, name), join(to, name));
}

/** @param {string} directory @param {Tensor[]} tensors @param {'F32' | 'F16'} dtype */
async function writeShards(directory, tensors, dtype) {
  /** @type {Tensor[][]} */
  const shards = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = byteLength(tensor, dtype);
    if (filled + bytes > SHARD_BYTES) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(tensor);
    filled += bytes;
  }
  const name = (/** @type {number} */ index) =>
    `model-${String(index + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
  for (const [index, shard] of shards.entries()) await writeFileOf(join(directory, name(index)), shard, dtype);
  await writeJson(join(directory, 'model.safetensors.index.json'), {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + byteLength(tensor, dtype), 0) },
    weight_map: Object.fromEntries(shards.flatMap((shard, index) => shard.map((tensor) => [tensor.name, name(index)]))),
  });
}

/** @param {string} path @param {Tensor[]} tensors @param {'F32' | 'F16'} dtype */
async function writeFileOf(path, tensors, dtype) {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map((tensor) => {
      const begin = end;
      end += byteLength(tensor, dtype);
      return [tensor.name, { dtype, shape: tensor.shape, data_offsets: [begin, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = await open(path, 'w');
  try {
    await file.write(Buffer.concat([length, padded]));
    for (const tensor of tensors) await writeValues(file, tensor, dtype);
  } finally {
    await file.close();
  }
  process.stderr.write(`${path}: ${tensors.length} tensors, ${(end / 1e9).toFixed(2)} GB\n`);
}

/** @param {import('node:fs/promises').FileHandle} file @param {Tensor} tensor @param {'F32' | 'F16'} dtype */
async function writeValues(file, { shape, kind }, dtype) {
  let left = elements(shape);
  const inputs = elements(shape.slice(1));
  // Sums over many inputs keep the size of what goes in, as in a trained model.
  const scale = kind === 'matrix' ? 1 / Math.sqrt(Math.max(inputs, 16)) : 0.02;
  const shift = kind === 'norm' ? 1 : 0;
  let start = Math.floor(random() * BLOCK);
  while (left > 0) {
    const count = Math.min(left, BLOCK - start);
    const values = normals.subarray(start, start + count).map((value) => shift + scale * value);
    const bytes = dtype === 'F32' ? values : halves(values);
    await file.write(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    left -= count;
    start = 0;
  }
}

/** Half precision, rounded towards zero, which is near enough for random numbers. @param {Float32Array} values */
function halves(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] ?? 0;
    const sign = (word >>> 16) & 0x8000;
    const exponent = ((word >>> 23) & 0xff) - 112;
    rounded[i] = exponent <= 0 ? sign : sign | (exponent << 10) | ((word >>> 13) & 0x3ff);
  }
  return rounded;
}

/** @param {number[]} shape */
function elements(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** @param {Tensor} tensor @param {'F32' | 'F16'} dtype */
function byteLength(tensor, dtype) {
  return elements(tensor.shape) * (dtype === 'F32' ? 4 : 2);
}

/** @param {string} path @param {object} value */
async function writeJson(path, value) {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
}

function gaussian() {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A small generator with a seed, so that the same checkpoint comes out everywhere. @param {number} seed */
function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
