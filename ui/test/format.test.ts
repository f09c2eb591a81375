import { describe, expect, it } from 'vitest';
import { Format, UNKNOWN } from '../src/lib/format';

const format = new Format('en');

describe('hash rates', () => {
  it.each([
    [0, '0 H/s'],
    [0.4, '0 H/s'],
    [999, '999 H/s'],
    [999.6, '1.00 kH/s'],
    [78_300, '78.3 kH/s'],
    [1.2345e12, '1.23 TH/s'],
    [999.96e12, '1.00 PH/s'],
    [1.09e21, '1.09 ZH/s'],
    [5e27, '5000 YH/s'],
    [NaN, UNKNOWN],
    [null, UNKNOWN],
  ])('%s is %s', (value, expected) => expect(format.hashrateText(value)).toBe(expected));
});

describe('difficulties', () => {
  it.each([
    [0, '0'],
    [4.6565423739069247e-10, '4.7E-10'],
    [0.000244, '0.000244'],
    [1, '1.00'],
    [4096, '4.10 k'],
    [98123456789.5, '98.1 G'],
    [152.27e12, '152 T'],
    [null, UNKNOWN],
  ])('%s is %s', (value, expected) => expect(format.difficulty(value)).toBe(expected));

  it.each([
    [1e-15, '1E-15'],
    [1e-3, '0.001'],
    [1, '1'],
    [1e3, '1 k'],
    [1e5, '100 k'],
    [1e15, '1 P'],
  ])('on a scale %s is %s', (value, expected) => expect(format.powerOfTen(value)).toBe(expected));
});

describe('durations', () => {
  it.each([
    [0, '0 sec'],
    [0.02, '< 1 sec'],
    [59.9, '59 sec'],
    [60, '1 min'],
    [303, '5m 3s'],
    [3 * 86_400 + 4 * 3600, '3d 4h'],
    [45 * 86_400 + 5 * 3600, '45 days'],
    [2.4 * 31_557_600, '2.4 years'],
    [204_370_000_000, '6,476 years'],
    [31_557_600 * 1.23e9, '1.23 billion years'],
    [Infinity, UNKNOWN],
    [-1, UNKNOWN],
    [null, UNKNOWN],
  ])('%s seconds are %s', (seconds, expected) => expect(format.duration(seconds)).toBe(expected));

  it('counts what lies in the future as now', () => expect(format.age(-5)).toBe('0 sec'));
});

describe('money and odds', () => {
  it('shows bitcoin with all places', () => expect(format.bitcoin(311_107_500)).toBe('3.11107500'));
  it('shows a probability that can be read', () => expect(format.probability(0.0123)).toBe('1.23%'));
  it('leaves a tiny one to "one in"', () => {
    expect(format.probability(4.2e-7)).toBeNull();
    expect(format.oneIn(4.2e-7)).toBe('2.38 million');
  });
  it('never promises a block', () => expect(format.probability(0.999999)).toBe('> 99.99%'));
});

it('follows the locale', () => {
  expect(new Format('de').bitcoin(100_000_000)).toBe('1,00000000');
  expect(new Format('de').hashrateText(1.5e12)).toBe('1,50 TH/s');
});
