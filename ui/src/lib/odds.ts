/**
 * Chances of finding a block. Hashing has no memory: the time to a block is exponentially distributed with the
 * mean `difficulty * 2^32 / hashes a second`. Nothing here reads a clock.
 */

/** Hashes that one unit of difficulty stands for. */
export const HASHES_PER_DIFFICULTY = 2 ** 32;

const DAY_SECONDS = 86_400;

/** Mean seconds to a block; `Infinity` while nothing hashes. */
export function expectedSecondsToBlock(hashesPerSecond: number, difficulty: number): number {
  if (!(hashesPerSecond > 0) || !(difficulty > 0)) return Infinity;
  return (difficulty * HASHES_PER_DIFFICULTY) / hashesPerSecond;
}

/** Seconds after which a block was found with the given probability (0 to 1, both excluded). */
export function secondsToBlockAt(probability: number, expectedSeconds: number): number {
  return -Math.log1p(-probability) * expectedSeconds;
}

/** Probability of at least one block within `seconds`. */
export function probabilityWithin(seconds: number, expectedSeconds: number): number {
  if (!(expectedSeconds > 0) || !Number.isFinite(expectedSeconds)) return 0;
  return -Math.expm1(-seconds / expectedSeconds);
}

/** Everything that the odds card shows. */
export interface Odds {
  /** Mean seconds to a block. */
  expectedSeconds: number;
  /** Seconds within which half of all such pools have found one. */
  halfSeconds: number;
  /** Seconds within which nine of ten have. */
  ninetySeconds: number;
  /** Probability of a block within a day. */
  today: number;
}

/** The odds that follow from an expected time. */
export function oddsFrom(expectedSeconds: number): Odds {
  return {
    expectedSeconds,
    halfSeconds: secondsToBlockAt(0.5, expectedSeconds),
    ninetySeconds: secondsToBlockAt(0.9, expectedSeconds),
    today: probabilityWithin(DAY_SECONDS, expectedSeconds),
  };
}
