/** From stored history and live figures to the columns of a chart. */

import type { History } from './api';
import type { ChartData } from './chart';

/** A figure seen live, newer than what history holds. */
export interface LivePoint {
  at: number;
  hashesPerSecond: number;
}

/** Hours that can be chosen, with the step in seconds that reads well for each. */
export const SPANS = [
  { hours: 1, stepSeconds: 60 },
  { hours: 6, stepSeconds: 300 },
  { hours: 24, stepSeconds: 600 },
] as const;

const DOTS_MAX = 48;

/**
 * Columns of a chart. Steps without a share are zero once mining had begun; the step that still runs is left out,
 * because half a step looks like half a hash rate: live points stand in its place.
 */
export function chartColumns(history: History, live: readonly LivePoint[]): ChartData {
  const step = history.step_seconds;
  const times: number[] = [];
  const rates: (number | null)[] = [];
  const bests: (number | null)[] = [];
  const push = (at: number, rate: number, best: number | null): void => {
    times.push(at);
    rates.push(rate);
    bests.push(best);
  };
  for (const point of history.points) {
    if (point.at + step > history.to) break;
    for (let missing = (times.at(-1) ?? point.at) + step; missing < point.at; missing += step) push(missing, 0, null);
    push(point.at, point.hashes_per_second, point.best_share > 0 ? point.best_share : null);
  }
  const last = times.at(-1) ?? -Infinity;
  for (const point of live) {
    if (point.at >= last + step && point.at > (times.at(-1) ?? -Infinity)) push(point.at, point.hashesPerSecond, null);
  }
  return [times, rates, thinned(bests)];
}

/** Keeps the best dot of each neighbourhood, so that a long span is not a cloud. */
function thinned(bests: (number | null)[]): (number | null)[] {
  const size = Math.ceil(bests.length / DOTS_MAX);
  if (size <= 1) return bests;
  const kept: (number | null)[] = bests.map(() => null);
  for (let start = 0; start < bests.length; start += size) {
    const group = bests.slice(start, start + size).map((best) => best ?? 0);
    const high = Math.max(...group);
    if (high > 0) kept[start + group.indexOf(high)] = high;
  }
  return kept;
}
