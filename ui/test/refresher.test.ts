import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Refresher } from '../src/lib/refresher';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('turns many requests into one now and one after the pause', async () => {
  const load = vi.fn(async () => undefined);
  const refresher = new Refresher(load, 1000);
  for (let count = 0; count < 50; count += 1) refresher.request();
  expect(load).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1000);
  expect(load).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(load).toHaveBeenCalledTimes(2);
});

it('never loads twice at once', async () => {
  const ends: (() => void)[] = [];
  const load = vi.fn(() => new Promise<void>((resolve) => ends.push(resolve)));
  const refresher = new Refresher(load, 10);
  refresher.request();
  refresher.request();
  await vi.advanceTimersByTimeAsync(5000);
  expect(load).toHaveBeenCalledTimes(1);
  ends[0]?.();
  await vi.advanceTimersByTimeAsync(20);
  expect(load).toHaveBeenCalledTimes(2);
});

it('forgets what was asked for when it is stopped', async () => {
  const load = vi.fn(async () => undefined);
  const refresher = new Refresher(load, 1000);
  refresher.request();
  refresher.request();
  refresher.stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(load).toHaveBeenCalledTimes(1);
});
