/**
 * A LoRA adapter in PEFT's layout as changes of its base's weights: low-rank products that are added to matrices, and whole tensors that were trained
 * beside them. Nothing is read until a changed weight is.
 *
 * N outputs, K inputs, r rank, V rows of a table, d its width.
 */
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import { ADAPTER_CONFIG, type CheckpointSource } from '../read/checkpoint-source.ts';
import type { StoredTensor } from '../read/tensor-file.ts';
import { addScaled, elementCount, mergeLora, reshaped, transposed, type Weight } from '../read/weight.ts';
import { openWeight, type Adaptation, type OpenTensor } from '../read/weights.ts';
import type { LoraAdapterConfig, LoraChange } from './lora-config.ts';

export type LoraAdapter = {
  /** Changes of weights, by the names of these in the adapter's file. */
  adaptations: ReadonlyMap<string, Adaptation>;
  /** Tensors that take the place of the base's: trained biases, norms and modules. */
  replacements: ReadonlyMap<string, OpenTensor>;
  /** Tensors that PEFT would not use either, with the reason. */
  unneeded: { tensor: StoredTensor; reason: string }[];
};

/** `layer.lora_A.weight`, or `layer.lora_A.NAME.weight` as a model keeps it that has several adapters. */
const LINEAR = /^(?<module>.+)\.(?<part>lora_[AB])(?:\.[^.]+)?\.(?<kind>weight|bias)$/;
const EMBEDDING = /^(?<module>.+)\.(?<part>lora_embedding_[AB])(?:\.[^.]+)?$/;

/** What PEFT writes into names around a module that it trains as a whole, or that it wraps. */
const WRAPPED = /\.(?:base_layer|modules_to_save(?:\.default)?)(?=\.)/;

/** Elements of both factors of a matrix, 256 MB: they are held while it is read. */
const MAX_FACTOR_ELEMENTS = 2 ** 26;

type Factors = { a?: OpenTensor; b?: OpenTensor; bias?: OpenTensor; isTable: boolean };

/** @throws CheckpointError when a tensor is of another kind of adapter, or a factor is missing. */
export function readLoraAdapter(source: CheckpointSource, config: LoraAdapterConfig): LoraAdapter {
  const modules = new Map<string, Factors>();
  const replacements = new Map<string, OpenTensor>();
  const unneeded: LoraAdapter['unneeded'] = [];
  for (const [name, open] of source.tensors) {
    const factor = factorOf(name);
    if (factor !== undefined) {
      const factors = modules.get(factor.module) ?? { isTable: factor.isTable };
      factors[factor.part] = open;
      modules.set(factor.module, factors);
    } else if (name.includes('.original_module.')) {
      unneeded.push({ tensor: open.tensor, reason: 'a module as it was before the training' });
    } else if (/(?:^|\.)lora_/.test(name)) {
      throw new CheckpointError(
        open.file.path,
        `tensor ${name} is of ${kindOfPart(name)}, which cannot be merged here.`,
      );
    } else {
      replacements.set(name.replace(WRAPPED, ''), open);
    }
  }
  const targets = config.targetsAmong([...modules.keys()]);
  const changes = config.changesOf([...targets]);
  const adaptations = new Map<string, Adaptation>();
  for (const [module, factors] of modules) {
    const tensors = [factors.a, factors.b, factors.bias].flatMap((open) => open?.tensor ?? []);
    const change = changes.get(module);
    if (change === undefined) {
      const reason = `${ADAPTER_CONFIG} does not name this layer among those that the adapter changes`;
      unneeded.push(...tensors.map((tensor) => ({ tensor, reason })));
      continue;
    }
    const { a, b, bias } = factors;
    if (a === undefined || b === undefined) {
      const lacking = a === undefined ? 'lora_A' : 'lora_B';
      throw new CheckpointError(source.path, `${module} has no ${lacking}. The adapter is incomplete.`);
    }
    adaptations.set(`${module}.weight`, {
      tensors: [a.tensor, b.tensor],
      apply: (weight) => (factors.isTable ? adaptTable : adaptMatrix)(weight, a, b, change),
    });
    if (bias !== undefined) {
      adaptations.set(`${module}.bias`, { tensors: [bias.tensor], apply: (weight) => adaptBias(weight, bias, change) });
    }
  }
  if (adaptations.size === 0 && replacements.size === 0) {
    throw new CheckpointError(
      join(source.path, ADAPTER_CONFIG),
      'the adapter changes no layer: none of its tensors is in a layer that target_modules names.',
    );
  }
  return { adaptations, replacements, unneeded };
}

function factorOf(name: string): { module: string; part: 'a' | 'b' | 'bias'; isTable: boolean } | undefined {
  const { module, part = '', kind } = (LINEAR.exec(name) ?? EMBEDDING.exec(name))?.groups ?? {};
  // The first factor of a linear layer never has a bias.
  if (module === undefined || (kind === 'bias' && part === 'lora_A')) return undefined;
  const factor = part.endsWith('A') ? 'a' : 'b';
  return { module, part: kind === 'bias' ? 'bias' : factor, isTable: part.startsWith('lora_embedding') };
}

function kindOfPart(name: string): string {
  if (name.includes('lora_magnitude_vector')) return 'DoRA';
  if (/\.lora_(?:E|ranknum)/.test(name)) return 'AdaLoRA';
  return 'another kind of LoRA';
}

/** `W + scale·(B·A)` of W [N, K] with A [r, K] and B [N, r]; of a convolution W [N, …] with A [r, …] and B [N, r, 1, 1]. */
function adaptMatrix(weight: Weight, a: OpenTensor, b: OpenTensor, { rank, scale }: LoraChange): Weight {
  const [outputs = 0, ...inputs] = weight.shape;
  if (inputs.length === 0) {
    throw new CheckpointError(a.tensor.file, `tensor ${a.tensor.name} changes a vector; LoRA changes matrices only.`);
  }
  const width = elementCount(inputs);
  requireModerate(a.tensor, rank, outputs, width);
  const ones = inputs.slice(1).map(() => 1);
  const loraA = reshaped(openWeight(a, a.tensor.name, [rank, ...inputs]), [rank, width]); // [r, K]
  const loraB = reshaped(openWeight(b, b.tensor.name, [outputs, rank, ...ones]), [outputs, rank]); // [N, r]
  const merged = mergeLora(reshaped(weight, [outputs, width]), loraA, loraB, scale); // [N, K]
  return reshaped(merged, weight.shape);
}

/** `W + scale·(B·A)ᵀ` of a table W [V, d] with A [r, V] and B [d, r]. */
function adaptTable(weight: Weight, a: OpenTensor, b: OpenTensor, { rank, scale }: LoraChange): Weight {
  const [rows = 0, width = 0] = weight.shape;
  requireModerate(a.tensor, rank, rows, width);
  const loraA = transposed(openWeight(b, b.tensor.name, [width, rank])); // [r, d]
  const loraB = transposed(openWeight(a, a.tensor.name, [rank, rows])); // [V, r]
  return mergeLora(weight, loraA, loraB, scale);
}

/** `b + scale·b_B`, for an adapter whose second factor has a bias. */
function adaptBias(weight: Weight, bias: OpenTensor, { scale }: LoraChange): Weight {
  return addScaled(weight, openWeight(bias, bias.tensor.name, weight.shape), scale);
}

/** @throws CheckpointError for factors that would fill the memory. */
function requireModerate(tensor: StoredTensor, rank: number, rows: number, width: number): void {
  const elements = rank * (rows + width);
  if (elements <= MAX_FACTOR_ELEMENTS) return;
  throw new CheckpointError(
    tensor.file,
    `tensor ${tensor.name} and its counterpart have ${elements} numbers at rank ${rank}; at most ${MAX_FACTOR_ELEMENTS} can be merged. Merge the adapter with PEFT and import the whole model.`,
    { fault: 'too-large' },
  );
}
