/**
 * Adapters of a table that serves twice: as token embeddings and as output head. While it was trained, the adapter changed one use only; merged, it
 * would change both.
 */
import { CheckpointError } from '../../errors.ts';
import type { CheckpointSource } from '../read/checkpoint-source.ts';
import { pieceRanges } from '../read/weight.ts';
import { openWeight, type Adaptation, type CheckpointWeights, type OpenTensor } from '../read/weights.ts';

const HEAD = 'language_model.lm_head.weight';
const TABLE = /^language_model\.(?:.*\.)?(?:embed_tokens|shared|lm_head)\.weight$/;

/**
 * @param adapters the sources that are adapters
 * @param weights of which everything has been taken that the model uses
 * @throws CheckpointError where an adapter changes a table whose other use it leaves as it is.
 */
export async function refuseTiedTables(
  adapters: readonly CheckpointSource[],
  weights: CheckpointWeights,
  {
    tensors,
    adaptations,
  }: { tensors: ReadonlyMap<string, OpenTensor>; adaptations: ReadonlyMap<string, readonly Adaptation[]> },
): Promise<void> {
  // A head of its own was taken.
  if (adapters.length === 0 || weights.used.includes(HEAD)) return;
  const files = new Set(adapters.flatMap(({ weightPaths }) => weightPaths));
  const adapted = [...adaptations.keys()].filter((name) => TABLE.test(name));
  const replaced = [...tensors].filter(([name, { tensor }]) => TABLE.test(name) && files.has(tensor.file));
  const head = replaced.find(([name]) => name === HEAD)?.[1];
  const [changed = replaced[0]?.[0]] = adapted;
  if (changed === undefined) return;
  // An adapter may bring the whole table under all its names, as PEFT saves one that was made larger.
  const others = replaced.filter(([name]) => name !== HEAD);
  if (adapted.length === 0 && head !== undefined && others.length > 0) {
    const equal = await Promise.all(others.map(async ([, table]) => holdSame(table, head)));
    if (equal.every(Boolean)) return;
  }
  throw new CheckpointError(
    adapters.map(({ path }) => path).join(', '),
    `the adapter changes ${changed}, but this model uses one table as token embeddings and as output head, and the adapter was trained on one use of it only. Train it without embed_tokens and lm_head, or on a base whose tie_word_embeddings is false.`,
  );
}

async function holdSame(a: OpenTensor, b: OpenTensor): Promise<boolean> {
  const { shape } = a.tensor;
  if (shape.join() !== b.tensor.shape.join()) return false;
  const [first, second] = [openWeight(a, a.tensor.name, shape), openWeight(b, b.tensor.name, shape)];
  for (const { start, count } of pieceRanges(shape)) {
    const [values, others] = [await first.read(start, count), await second.read(start, count)];
    if (values.some((value, index) => value !== others[index])) return false;
  }
  return true;
}
