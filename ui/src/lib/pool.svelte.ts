/**
 * What is known of the pool, kept fresh: one event stream says that there is news, the figures are then asked for.
 * While the stream is down they are polled. A hidden page lets its connection go after a minute, because a browser
 * has only six for a server.
 */

import * as api from './api';
import { EventStream, type StreamEvent, type StreamState } from './event-stream';
import type { LivePoint } from './history';
import { Refresher } from './refresher';
import { ShapeError, type Shape } from './schema';

export type Connection = 'connecting' | 'live' | 'polling' | 'offline';

const POLL_SECONDS = 5;
const LIVE_REFRESH_SECONDS = 15;
const SNAPSHOT_STALE_SECONDS = 20;
const HIDDEN_CLOSE_MS = 60_000;
/** Three hours at one point each five seconds: a page left open does not grow. */
const LIVE_POINTS_MAX = 2160;
const LIVE_POINT_SECONDS = 5;
const BLOCKS_FIRST = 10;
const FLASH_SECONDS = 60;

/** A block that was found while the page was open. */
export interface FoundBlock {
  height: number;
  worker: string;
}

class Pool {
  overview = $state.raw<api.Overview | null>(null);
  job = $state.raw<api.Job | null>(null);
  jobKnown = $state(false);
  blocks = $state.raw<api.BlocksPage | null>(null);
  medals = $state.raw<readonly string[]>([]);
  livePoints = $state.raw<readonly LivePoint[]>([]);
  foundBlock = $state.raw<FoundBlock | null>(null);
  /** The pool's clock in seconds; ages are against it, whatever the browser's clock says. */
  now = $state(Date.now() / 1000);
  /** Seconds since the pool last gave a newer picture of itself. */
  silentSeconds = $state(0);
  /** Rises when lists are to be fetched anew: something about workers changed. */
  workersNews = $state(0);
  /** A sentence when an answer could not be used. */
  problem = $state('');

  private streamState = $state<StreamState>('closed');
  private lastPollWorked = $state<boolean | null>(null);
  private clockAheadSeconds = 0;
  private advancedAtMs = performance.now();
  private blocksWanted = BLOCKS_FIRST;
  private seconds = 0;
  private foundAtSeconds = 0;

  readonly connection: Connection = $derived.by(() => {
    if (this.lastPollWorked === false) return 'offline';
    if (this.streamState === 'open') return 'live';
    return this.lastPollWorked === null ? 'connecting' : 'polling';
  });

  readonly stale = $derived(this.silentSeconds > SNAPSHOT_STALE_SECONDS);

  private readonly stream = new EventStream({
    url: api.EVENTS_PATH,
    onEvent: (event) => this.take(event),
    onState: (state) => this.takeStreamState(state),
  });
  private readonly overviewRefresher = new Refresher(() => this.loadOverview(), 1500);
  private readonly jobRefresher = new Refresher(() => this.load(async () => this.setJob(await api.fetchJob())), 1000);
  private readonly blocksRefresher = new Refresher(() => this.load(async () => void (this.blocks = await api.fetchBlocks(this.blocksWanted))), 1000);
  private readonly medalsRefresher = new Refresher(() => this.load(() => this.loadMedals()), 10_000);

  /** Starts; returns what stops it. */
  start(): () => void {
    let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
    const onVisibility = (): void => {
      clearTimeout(hiddenTimer);
      if (document.hidden) hiddenTimer = setTimeout(() => this.stream.close(), HIDDEN_CLOSE_MS);
      else this.resume();
    };
    document.addEventListener('visibilitychange', onVisibility);
    const ticker = setInterval(() => this.tick(), 1000);
    this.resume();
    return () => {
      document.removeEventListener('visibilitychange', onVisibility);
      clearTimeout(hiddenTimer);
      clearInterval(ticker);
      this.stream.close();
      for (const refresher of [this.overviewRefresher, this.jobRefresher, this.blocksRefresher, this.medalsRefresher]) refresher.stop();
    };
  }

  /** Shows so many blocks more. */
  moreBlocks(count: number): void {
    this.blocksWanted = Math.min(1000, this.blocksWanted + count);
    this.blocksRefresher.request();
  }

  private resume(): void {
    this.stream.open();
    this.refreshAll();
  }

  private refreshAll(): void {
    this.overviewRefresher.request();
    this.jobRefresher.request();
    this.blocksRefresher.request();
    this.medalsRefresher.request();
    this.workersNews += 1;
  }

  private tick(): void {
    this.now = Date.now() / 1000 + this.clockAheadSeconds;
    this.silentSeconds = (performance.now() - this.advancedAtMs) / 1000;
    this.seconds += 1;
    if (this.foundBlock && this.seconds - this.foundAtSeconds > FLASH_SECONDS) this.foundBlock = null;
    if (document.hidden) return;
    const live = this.streamState === 'open' && this.lastPollWorked !== false;
    if (this.seconds % (live ? LIVE_REFRESH_SECONDS : POLL_SECONDS) === 0) {
      this.overviewRefresher.request();
      this.workersNews += 1;
      if (!live) this.jobRefresher.request();
    }
    if (this.seconds % 60 === 0) {
      this.blocksRefresher.request();
      this.medalsRefresher.request();
    }
  }

  private takeStreamState(state: StreamState): void {
    const reopened = state === 'open' && this.streamState !== 'open';
    this.streamState = state;
    if (reopened) this.refreshAll();
    // A stream that ends means that the pool may be gone: ask at once instead of showing old figures as fresh.
    if (state === 'waiting') this.overviewRefresher.request();
  }

  private take(event: StreamEvent): void {
    switch (event.type) {
      case 'shares_accepted':
        return this.takeShares(event);
      case 'block_found':
        return this.takeBlock(event);
      case 'new_job':
        this.jobRefresher.request();
        this.overviewRefresher.request();
        return;
      case 'worker_up':
      case 'worker_down':
        this.workersNews += 1;
        this.overviewRefresher.request();
        return;
      case 'health_snapshot':
        return this.takeHealth(event);
      case 'reset':
        this.refreshAll();
    }
  }

  private takeShares(event: StreamEvent): void {
    const shares = this.parse(event, api.sharesAcceptedShape);
    if (!shares) return;
    if (this.overview) {
      const known = this.overview.shares;
      this.overview = {
        ...this.overview,
        shares: { ...known, accepted: known.accepted + shares.accepted, rejected: known.rejected + shares.rejected },
      };
    }
    this.overviewRefresher.request();
    if (shares.at % LIVE_POINT_SECONDS === 0) this.workersNews += 1;
  }

  private takeBlock(event: StreamEvent): void {
    const block = this.parse(event, api.blockFoundShape);
    this.blocksRefresher.request();
    this.overviewRefresher.request();
    this.medalsRefresher.request();
    if (!block || block.state === 'rejected' || block.state === 'orphaned') return;
    this.foundBlock = { height: block.height, worker: block.worker };
    this.foundAtSeconds = this.seconds;
  }

  private takeHealth(event: StreamEvent): void {
    const health = this.parse(event, api.healthShape);
    if (health && this.overview) {
      this.overview = { ...this.overview, node: { ...this.overview.node, health: health.health, message: health.message } };
    }
    this.overviewRefresher.request();
    this.jobRefresher.request();
  }

  private parse<T>(event: StreamEvent, shape: Shape<T>): T | null {
    try {
      return shape(JSON.parse(event.data), event.type);
    } catch {
      return null;
    }
  }

  private async loadOverview(): Promise<void> {
    try {
      this.takeOverview(await api.fetchOverview());
      this.lastPollWorked = true;
      this.problem = '';
    } catch (error) {
      this.lastPollWorked = false;
      this.problem = describe(error);
    }
  }

  private takeOverview(overview: api.Overview): void {
    if (overview.at !== this.overview?.at) {
      this.advancedAtMs = performance.now();
      this.silentSeconds = 0;
      this.clockAheadSeconds = overview.at - Date.now() / 1000;
      this.now = overview.at;
    }
    this.overview = overview;
    this.addLivePoint({ at: overview.at, hashesPerSecond: overview.hashrates['5m'] ?? 0 });
  }

  private addLivePoint(point: LivePoint): void {
    const last = this.livePoints.at(-1);
    if (last && point.at < last.at + LIVE_POINT_SECONDS) return;
    this.livePoints = [...this.livePoints.slice(1 - LIVE_POINTS_MAX), point];
  }

  private async loadMedals(): Promise<void> {
    const best = await api.fetchWorkers('', 'best_share', 3);
    this.medals = best.workers.filter((worker) => worker.best_share.ever > 0).map((worker) => worker.name);
  }

  private setJob(job: api.Job | null): void {
    this.job = job;
    this.jobKnown = true;
  }

  /** Failures of the side figures are left to the overview, which is asked for more often. */
  private async load(what: () => Promise<void>): Promise<void> {
    try {
      await what();
    } catch (error) {
      if (error instanceof ShapeError || error instanceof api.HttpError) this.problem = describe(error);
    }
  }
}

function describe(error: unknown): string {
  return error instanceof api.HttpError || error instanceof ShapeError ? error.message : '';
}

export const pool = new Pool();
