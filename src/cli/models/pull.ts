/**
 * `minigpt models pull`: downloads a published model into the hub cache and imports it from there.
 *
 * The downloaded files are kept, so that the model can be imported again, in another precision or after an update.
 */
import { UsageError } from '../../errors.ts';
import type { Family, Precision } from '../../pack/model-declaration.ts';
import { HttpClient } from '../../store/download/http-client.ts';
import { waitInRealTime } from '../../store/download/retries.ts';
import { readHubSettings, type HubSettings } from '../../store/hub/hub-settings.ts';
import { isRepositoryName } from '../../store/hub/repository-name.ts';
import { findKnownModel, type ModelSource } from '../../store/known-models.ts';
import { requirePackId } from '../../store/pack-id.ts';
import { listPacks } from '../../store/packs.ts';
import { DownloadProgress } from './download-progress.ts';
import { fetchSources } from './fetch-sources.ts';
import { Interruption } from '../terminal/interruption.ts';
import { Terminal } from '../terminal/terminal.ts';

/** As typed. */
export type PullFlags = { as?: string; precision?: Precision; revision?: string };

/** Makes a pack from sources on this disk, overlaid in their order. */
export type ImportPack = (
  sources: readonly string[],
  flags: { as: string; precision: Precision; family?: Family },
) => Promise<void>;

/** What to pull. `family` is undefined if it must be recognised from the checkpoint. */
type Order = {
  id: string;
  family: Family | undefined;
  introduction: readonly string[];
  sources: readonly ModelSource[];
};

/** Pulls the model that `name` stands for: a known id or a repository of the hub. */
export async function pullModel(name: string, flags: PullFlags, importPack: ImportPack): Promise<void> {
  const terminal = new Terminal(process.stderr);
  const order = await findOrder(name, flags);
  if (await isHere(order, flags, terminal)) return;
  const interruption = new Interruption();
  const progress = new DownloadProgress(terminal, process.stderr);
  let paths: string[];
  try {
    for (const line of order.introduction) terminal.say(line);
    const settings = await readHubSettings();
    const fetching = fetchSources(order.sources, {
      isKnown: order.family !== undefined,
      settings,
      say: (text) => terminal.say(text),
      means: { http: clientOf(settings), wait: waitInRealTime, observer: progress, signal: interruption.signal },
    });
    paths = await interruption.orLeave(fetching);
  } catch (error) {
    const { interrupted } = interruption;
    if (interrupted === undefined) throw error;
    progress.stop();
    terminal.say(`${interrupted.word}; downloaded data is kept, and the same command continues from there`);
    process.exitCode = interrupted.exitCode;
    return;
  } finally {
    progress.stop();
    interruption.release();
  }
  const { family } = order;
  await importPack(paths, {
    as: order.id,
    precision: flags.precision ?? 'fp32',
    ...(family !== undefined && { family }),
  });
}

async function findOrder(name: string, flags: PullFlags): Promise<Order> {
  const known = await findKnownModel(name);
  let order: Order;
  if (known !== undefined) {
    const introduction = [`${known.id}: ${known.description}`, `licence: ${known.licence}. ${known.terms}`];
    order = { id: known.id, family: known.family, introduction, sources: known.sources };
  } else if (isRepositoryName(name)) {
    const source: ModelSource = {
      kind: 'checkpoint',
      repository: name,
      revision: 'main',
      format: undefined,
      bytes: undefined,
    };
    order = { id: name.split('/')[1] ?? name, family: undefined, introduction: [], sources: [source] };
  } else if (flags.as === undefined && (await listPacks()).some(({ id }) => id === name)) {
    // There is nothing to download, but a pack of this id is here.
    order = { id: name, family: undefined, introduction: [], sources: [] };
  } else {
    throw new UsageError(
      `there is no published model with the id "${name}". "minigpt models list --available" lists the known ids. For any other model, give its repository on the hub as org/name.`,
    );
  }
  if (flags.as !== undefined) order = { ...order, id: flags.as };
  requirePackId(order.id);
  return flags.revision === undefined ? order : atRevision(order, flags.revision);
}

function atRevision(order: Order, revision: string): Order {
  const [source, ...others] = order.sources.filter(({ kind }) => kind !== 'address');
  if (source === undefined || others.length > 0) {
    throw new UsageError(
      '--revision only works for a model from a single repository. This model comes from several, or from none.',
    );
  }
  return { ...order, sources: order.sources.map((other) => (other === source ? { ...source, revision } : other)) };
}

/** Whether the pack is here already; if so, says it. An embedded pack does not keep the user from downloading one with the same id. */
async function isHere({ id, sources }: Order, flags: PullFlags, terminal: Terminal): Promise<boolean> {
  const listed = (await listPacks()).find((pack) => pack.id === id);
  if (listed === undefined || (listed.embedded && sources.length > 0)) return false;
  const { pack, directory, error, embedded } = listed;
  if (pack === undefined) throw new UsageError(`${error ?? directory} Remove it with: minigpt models rm ${id}`);
  if (embedded) {
    terminal.say(`${id} is part of minigpt, so there is nothing to download`);
    return true;
  }
  const { precision } = pack.declaration;
  if (flags.precision !== undefined && flags.precision !== precision) {
    throw new UsageError(
      `${id} is already here, stored as ${precision}. To get it as ${flags.precision} too, give the new pack another id with --as.`,
    );
  }
  terminal.say(`${id} is already here, stored as ${precision}: ${directory}`);
  return true;
}

/** The access token is sent to the chosen hub, and nowhere else. */
function clientOf({ endpoint, token }: HubSettings): HttpClient {
  const { origin } = new URL(endpoint);
  return new HttpClient({
    authorization: (url) => (token !== undefined && url.origin === origin ? `Bearer ${token}` : undefined),
  });
}
