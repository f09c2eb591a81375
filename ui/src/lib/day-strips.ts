/** The last 24 hours of workers in a list, one request after the other and only for rows that are on screen. */

import { fetchHistory } from './api';

const HOURS = 24;
const STEP_SECONDS = 3600;
const FRESH_MS = 10 * 60_000;
/** A pool with a hundred thousand workers does not fill the page's memory. */
const KEPT_MAX = 500;

interface Kept {
  strip: Promise<readonly number[]>;
  atMs: number;
}

const kept = new Map<string, Kept>();
let queue: Promise<unknown> = Promise.resolve();

/** Hash rate of each of the last 24 hours, oldest first. */
export function dayStrip(worker: string): Promise<readonly number[]> {
  const known = kept.get(worker);
  if (known && performance.now() - known.atMs < FRESH_MS) return known.strip;
  const strip = queue.then(() => loadStrip(worker));
  queue = strip.catch(() => kept.delete(worker));
  kept.set(worker, { strip, atMs: performance.now() });
  if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value ?? '');
  return strip;
}

async function loadStrip(worker: string): Promise<readonly number[]> {
  const history = await fetchHistory(HOURS, STEP_SECONDS, worker);
  const first = Math.floor(history.to / STEP_SECONDS) - HOURS + 1;
  const hours = new Array<number>(HOURS).fill(0);
  for (const point of history.points) {
    const hour = Math.floor(point.at / STEP_SECONDS) - first;
    // The running hour is scaled to what of it has passed.
    const passed = Math.min(1, Math.max(60, history.to - point.at) / STEP_SECONDS);
    if (hour >= 0 && hour < HOURS) hours[hour] = point.hashes_per_second / passed;
  }
  return hours;
}
