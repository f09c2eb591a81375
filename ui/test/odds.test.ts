import { describe, expect, it } from 'vitest';
import { expectedSecondsToBlock, oddsFrom, probabilityWithin, secondsToBlockAt } from '../src/lib/odds';
import { ladderPosition, ladderRungs } from '../src/lib/ladder';

describe('odds of a block', () => {
  it('expects difficulty times 2^32 hashes', () => {
    expect(expectedSecondsToBlock(2 ** 32, 600)).toBe(600);
    expect(expectedSecondsToBlock(3.2e12, 152.27e12)).toBeCloseTo(2.0437e11, -8);
  });

  it('expects none while nothing mines or nothing is known', () => {
    expect(expectedSecondsToBlock(0, 1)).toBe(Infinity);
    expect(expectedSecondsToBlock(1, 0)).toBe(Infinity);
    expect(oddsFrom(Infinity).today).toBe(0);
  });

  it('bounds by the exponential distribution', () => {
    const odds = oddsFrom(1000);
    expect(odds.halfSeconds).toBeCloseTo(693.147, 2);
    expect(odds.ninetySeconds).toBeCloseTo(2302.585, 2);
    expect(probabilityWithin(odds.ninetySeconds, 1000)).toBeCloseTo(0.9, 12);
    expect(secondsToBlockAt(0.5, 1000)).toBe(odds.halfSeconds);
  });

  it('keeps tiny chances exact', () => expect(oddsFrom(2.0437e11).today).toBeCloseTo(86_400 / 2.0437e11, 12));
});

describe('the ladder', () => {
  const network = 1e14;

  it('is logarithmic from one share to a block', () => {
    expect(ladderPosition(0, network)).toBe(0);
    expect(ladderPosition(1e7, network)).toBeCloseTo(0.5, 12);
    expect(ladderPosition(network, network)).toBe(1);
    expect(ladderPosition(network * 5, network)).toBe(1);
  });

  it('has a foot below one where the network itself is that easy', () => {
    const regtest = 4.656542373906925e-10;
    expect(ladderPosition(regtest, regtest)).toBe(1);
    expect(ladderPosition(regtest / 1000, regtest)).toBeCloseTo(0.5, 9);
  });

  it('knows nothing without a network', () => expect(ladderPosition(5, 0)).toBe(0));

  it('has few rungs, all between foot and top', () => {
    const rungs = ladderRungs(152.27e12, 5);
    expect(rungs.length).toBeGreaterThan(2);
    expect(rungs.length).toBeLessThanOrEqual(5);
    for (const rung of rungs) expect(rung.position).toBeGreaterThan(0), expect(rung.position).toBeLessThan(1);
  });
});
