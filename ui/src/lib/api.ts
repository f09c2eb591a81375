/** The pool's HTTP interface as docs/book/api.md has it: the parts that the dashboard uses. */

import { boolean, list, nullable, number, object, record, string, type Shape, type Shaped } from './schema';

const hashrates = record(number);

const rejectedByReason = record(number);

const shares = object({ accepted: number, accepted_difficulty: number, rejected: number, rejected_by_reason: rejectedByReason });

const odds = object({
  window: string,
  hashes_per_second: number,
  expected_seconds: nullable(number),
  p50_seconds: nullable(number),
  p90_seconds: nullable(number),
});

const node = object({
  name: string,
  up: boolean,
  version: string,
  syncing: boolean,
  height: number,
  rpc_latency_seconds: number,
  zmq: boolean,
  error: string,
});

const output = object({ role: string, address: nullable(string), value_sats: number, percent: number });

const worker = object({
  name: string,
  address: string,
  worker_name: string,
  user_agent: string,
  device_class: nullable(string),
  online: boolean,
  presence: string,
  connections: number,
  expected_share_seconds: nullable(number),
  quiet_seconds: nullable(number),
  tip_latency: nullable(object({ last_seconds: number, mean_seconds: number })),
  hashrates,
  shares,
  best_share: object({ now: number, ever: number }),
  difficulty: nullable(number),
  first_seen: number,
  last_seen: number,
  last_share_at: nullable(number),
  blocks_found: number,
  block_pays: nullable(object({ address: string, sats: number, percent: number })),
});

const payoutFields = { miner_address: nullable(string), miner_sats: number, miner_percent: number, outputs: list(output) };

const block = object({
  hash: string,
  height: number,
  state: string,
  confirmations: nullable(number),
  reject_reason: nullable(string),
  found_at: number,
  worker: string,
  address: string,
  payout_sats: number,
  share_difficulty: number,
  network_difficulty: number,
  explorer_url: nullable(string),
});

export const overviewShape = object({
  at: number,
  pool: object({ name: string, version: string, public_url: nullable(string), started_at: number, uptime_seconds: number }),
  network: object({ name: string, height: number, difficulty: nullable(number), hashes_per_second: nullable(number) }),
  hashrates,
  shares,
  workers: object({ online: number, known: number }),
  best_share: object({ now: number, ever: number, now_worker: nullable(string), ever_worker: nullable(string) }),
  blocks_found: number,
  template: nullable(object({ height: number, age_seconds: number })),
  node: object({ health: string, message: string, since: number, nodes: list(node) }),
  listeners: list(object({ protocol: string, address: string, port: nullable(number), authority_key: nullable(string) })),
});

export const historyShape = object({
  from: number,
  to: number,
  step_seconds: number,
  points: list(object({ at: number, hashes_per_second: number, best_share: number })),
});

export const jobShape = object({
  at: number,
  job: nullable(
    object({
      id: string,
      height: number,
      previous_block: string,
      version: string,
      difficulty: number,
      created_at: number,
      kind: string,
      transactions: number,
      weight: number,
      coinbase_value_sats: number,
      fees_sats: number,
      coinbase: object({ tag: string, ...payoutFields }),
      payees: list(object({ address: string, sats: number, percent: number, workers: number, hashes_per_second: number })),
    }),
  ),
});

export const workersShape = object({ at: number, matching: number, workers: list(worker), next_cursor: nullable(string) });

export const workerShape = object({
  at: number,
  worker,
  odds,
  payout: nullable(object(payoutFields)),
});

export const blocksShape = object({ at: number, blocks_found: number, blocks: list(block), next_cursor: nullable(string) });

/** A QR code: rows of `1` (dark) and `0`. */
export const qrShape = object({ text: string, size: number, rows: list(string) });

export type Overview = Shaped<typeof overviewShape>;
export type NodeState = Shaped<typeof node>;
export type History = Shaped<typeof historyShape>;
export type Job = NonNullable<Shaped<typeof jobShape>['job']>;
export type Worker = Shaped<typeof worker>;
export type WorkersPage = Shaped<typeof workersShape>;
export type WorkerDetail = Shaped<typeof workerShape>;
export type Payout = NonNullable<WorkerDetail['payout']>;
export type Block = Shaped<typeof block>;
export type BlocksPage = Shaped<typeof blocksShape>;

/** What a worker list can be sorted by; a `-` in front turns the order round. */
export type WorkerSort = 'hashrate' | 'best_share' | 'shares' | 'rejected' | 'last_share' | 'name';

/** A request that was answered with an error, with the pool's own sentence. */
export class HttpError extends Error {
  override name = 'HttpError';
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

const REQUEST_DEADLINE_MS = 15_000;
const PAGE_MAX = 1000;

async function get<T>(path: string, shape: Shape<T>): Promise<T> {
  // Relative to the page, so that it works under any path of a reverse proxy.
  const response = await fetch(path, { headers: { accept: 'application/json' }, cache: 'no-store', signal: AbortSignal.timeout(REQUEST_DEADLINE_MS) });
  if (!response.ok) throw new HttpError(response.status, await problemDetail(response));
  return shape(await response.json(), path);
}

async function problemDetail(response: Response): Promise<string> {
  const problem: unknown = await response.json().catch(() => null);
  const detail = typeof problem === 'object' && problem !== null && 'detail' in problem ? problem.detail : null;
  return typeof detail === 'string' ? detail : `HTTP ${response.status}`;
}

export const EVENTS_PATH = 'api/events';

export const fetchOverview = (): Promise<Overview> => get('api/overview', overviewShape);

export const fetchJob = async (): Promise<Job | null> => (await get('api/jobs/current', jobShape)).job;

export const fetchQr = async (text: string): Promise<string[]> => (await get(`api/qr?${new URLSearchParams({ text })}`, qrShape)).rows;

export const fetchBlocks = (limit: number): Promise<BlocksPage> => get(`api/blocks?limit=${limit}`, blocksShape);

export const fetchWorker = (name: string): Promise<WorkerDetail> => get(`api/workers/${encodeURIComponent(name)}`, workerShape);

export function fetchHistory(hours: number, stepSeconds: number, worker?: string): Promise<History> {
  const query = new URLSearchParams({ hours: String(hours), step: String(stepSeconds) });
  if (worker !== undefined) query.set('worker', worker);
  return get(`api/hashrate?${query}`, historyShape);
}

/** The first `count` workers; more than a page holds are fetched page by page. */
export async function fetchWorkers(search: string, sort: string, count: number): Promise<WorkersPage> {
  const query = new URLSearchParams({ sort, limit: String(Math.min(PAGE_MAX, count)) });
  if (search !== '') query.set('q', search);
  const page = await get(`api/workers?${query}`, workersShape);
  while (page.next_cursor !== null && page.workers.length < count) {
    query.set('cursor', page.next_cursor);
    query.set('limit', String(Math.min(PAGE_MAX, count - page.workers.length)));
    const next = await get(`api/workers?${query}`, workersShape);
    page.workers.push(...next.workers);
    page.next_cursor = next.next_cursor;
  }
  return page;
}

const eventBase = { at: number };

/** The events that the dashboard reads more of than their type. */
export const sharesAcceptedShape = object({ ...eventBase, accepted: number, difficulty: number, rejected: number });
export const blockFoundShape = object({ ...eventBase, height: number, worker: string, state: string });
export const healthShape = object({ ...eventBase, health: string, message: string });
