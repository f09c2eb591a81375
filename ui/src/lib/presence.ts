/** Whether a worker is there, in a sentence: a slow one is not taken for a dead one. */

import type { Worker } from './api';
import type { Format } from './format';
import type { Messages } from './messages/en';

/** What a sentence needs to know of a worker. */
export type Present = Pick<Worker, 'presence' | 'expected_share_seconds' | 'quiet_seconds' | 'last_seen'>;

/** Class of the colour that a state is shown in. */
export function presenceTone(presence: string): string {
  return { waiting: 'tone-cool', mining: 'tone-good', silent: 'tone-warn' }[presence] ?? '';
}

/** Time between two shares that is expected, `10 sec`; parts of seconds would be noise. */
export function shareInterval(worker: Pick<Worker, 'expected_share_seconds'>, format: Format): string {
  const seconds = worker.expected_share_seconds;
  return format.duration(seconds !== null && seconds >= 1 ? Math.round(seconds) : seconds);
}

/** `Connected, no share yet: one every 30 sec expected`. `now` is the pool's clock in seconds. */
export function presenceSentence(worker: Present, now: number, format: Format, texts: Messages['presence']): string {
  const interval = worker.expected_share_seconds === null ? null : shareInterval(worker, format);
  switch (worker.presence) {
    case 'waiting':
      return interval === null ? texts.waitingUnknown : texts.waiting(interval);
    case 'mining':
      return interval === null ? texts.miningUnknown : texts.mining(interval);
    case 'silent':
      return texts.silent(format.age(worker.quiet_seconds), shareInterval(worker, format));
    default:
      return texts.disconnected(format.age(now - worker.last_seen));
  }
}
