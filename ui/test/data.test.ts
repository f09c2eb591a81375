import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { shortAddress, splitLabel, webLink } from '../src/lib/address';
import * as api from '../src/lib/api';
import { minerAddresses } from '../src/lib/connect';
import { chartColumns } from '../src/lib/history';
import { darkPath } from '../src/lib/qr';
import { parseRoute, workerHref } from '../src/lib/route';
import { ShapeError, type Shape } from '../src/lib/schema';
import { readPreference, writePreference } from '../src/lib/preferences';

const CONTRACT = new URL('../../docs/book/api.md', import.meta.url);

describe.skipIf(!existsSync(CONTRACT))('the interface as the book describes it', () => {
  const book = existsSync(CONTRACT) ? readFileSync(CONTRACT, 'utf8') : '';
  const example = (heading: string): unknown => {
    const section = book.slice(book.indexOf(heading));
    return JSON.parse(/```json\n([\s\S]*?)```/.exec(section)?.[1] ?? 'null');
  };
  const cases: [string, Shape<unknown>][] = [
    ['### GET /api/overview', api.overviewShape],
    ['### GET /api/hashrate', api.historyShape],
    ['### GET /api/jobs/current', api.jobShape],
    ['### GET /api/qr', api.qrShape],
    ['### GET /api/workers?', api.workersShape],
    ['### GET /api/workers/{name}', api.workerShape],
    ['### GET /api/blocks', api.blocksShape],
    ['#### Event shares_accepted', api.sharesAcceptedShape],
    ['#### Event block_found', api.blockFoundShape],
    ['#### Event health_snapshot', api.healthShape],
  ];
  it.each(cases)('%s is understood', (heading, shape) => {
    expect(book).toContain(heading);
    shape(example(heading), heading);
  });
});

describe('shapes', () => {
  it('name the place of what is wrong', () => {
    expect(() => api.blocksShape({ at: 1, blocks_found: 0, blocks: [{ hash: 5 }], next_cursor: null }, 'api/blocks')).toThrow(
      new ShapeError('api/blocks.blocks[0].hash: a text expected, found number'),
    );
  });
  it('take a missing nullable for unknown', () => expect(api.jobShape({ at: 1 }, '')).toEqual({ at: 1, job: null }));
});

describe('the chart', () => {
  const point = (at: number, rate: number) => ({ at, hashes_per_second: rate, best_share: rate });

  it('fills holes with zero, leaves out the running step and goes on live', () => {
    const history = { from: 0, to: 290, step_seconds: 60, points: [point(0, 5), point(120, 7), point(240, 1)] };
    const [times, rates, bests] = chartColumns(history, [{ at: 100, hashesPerSecond: 9 }, { at: 200, hashesPerSecond: 8 }, { at: 290, hashesPerSecond: 6 }]);
    expect(times).toEqual([0, 60, 120, 200, 290]);
    expect(rates).toEqual([5, 0, 7, 8, 6]);
    expect(bests).toEqual([5, null, 7, null, null]);
  });

  it('keeps the best dot of each neighbourhood', () => {
    const points = Array.from({ length: 144 }, (_, index) => point(index * 600, index + 1));
    const [, , bests] = chartColumns({ from: 0, to: 1e6, step_seconds: 600, points }, []);
    expect(bests.filter((best) => best !== null)).toHaveLength(48);
    expect(bests[143]).toBe(144);
  });

  it('is content with nothing', () => expect(chartColumns({ from: 0, to: 0, step_seconds: 60, points: [] }, [])).toEqual([[], [], []]));
});

describe('addresses for miners', () => {
  const listener = (address: string, port: number | null, protocol = 'v1', authority_key: string | null = null) => ({ protocol, address, port, authority_key });

  it.each([
    ['every interface becomes the host of the page', [listener('[::]:3333', 3333)], null, 'pool.local', ['stratum+tcp://pool.local:3333']],
    ['or that of the public address', [listener('0.0.0.0:3333', 3333)], 'https://mine.example:8443/x', 'pool.local', ['stratum+tcp://mine.example:3333']],
    ['a certain interface stays', [listener('192.168.1.5:3333', 3333)], null, 'pool.local', ['stratum+tcp://192.168.1.5:3333']],
    ['loopback is of use on the machine alone', [listener('127.0.0.1:3333', 3333)], null, 'pool.local', []],
    ['TLS and V2 say so', [listener('[::]:1', 1, 'v1_tls'), listener('[::]:2', 2, 'v2', '9auth')], null, 'p', ['stratum+ssl://p:1', 'stratum2+tcp://p:2/9auth']],
  ])('%s', (_, listeners, publicUrl, host, expected) => expect(minerAddresses(listeners, publicUrl, host).map((address) => address.url)).toEqual(expected));
});

describe('small things', () => {
  it('finds a worker behind the address bar, whatever its name', () => {
    const name = 'bc1q.a b/ü#?';
    expect(parseRoute(workerHref(name))).toEqual({ page: 'worker', name });
    expect(parseRoute('#/workers/%')).toEqual({ page: 'home' });
    expect(parseRoute('')).toEqual({ page: 'home' });
  });
  it('splits a label at its first dot', () => expect(splitLabel('bc1q.rig.2')).toEqual({ address: 'bc1q', name: 'rig.2' }));
  it('shortens addresses', () => expect(shortAddress('bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh')).toBe('bc1qxy2k…x0wlh'));
  it('follows links to the web alone', () => {
    expect(webLink('https://mempool.space/block/00')).toBe('https://mempool.space/block/00');
    expect(webLink('javascript:alert(1)')).toBeNull();
  });
  it('lives without storage', () => {
    expect(() => writePreference('a', 'b')).not.toThrow();
    expect(readPreference('a')).toBeNull();
  });
});

describe('a QR code', () => {
  it('is drawn as a rectangle for each run of dark modules', () => {
    expect(darkPath(['0110', '0000', '1001'])).toBe('M1 0h2v1h-2zM0 2h1v1h-1zM3 2h1v1h-1z');
  });
});
