/**
 * A pool that does not exist: moving figures in the shapes of docs/book/api.md. The same second gives the same
 * figures, so that a picture can be taken twice.
 */

const HASHES_PER_DIFFICULTY = 2 ** 32;
const WINDOWS = ['1m', '5m', '15m', '1h', '6h', '1d', '7d'];
const REASONS = [
  'stale', 'unknown_job', 'duplicate', 'low_difficulty', 'unauthorized', 'not_subscribed', 'time_too_old',
  'time_too_new', 'version_outside_mask', 'extranonce2_size', 'malformed', 'job_exhausted',
];
const DEVICES = [
  ['bitaxe/BM1370', 'Bitaxe', 1.15e12],
  ['bitaxe/BM1368', 'Bitaxe', 0.62e12],
  ['NerdQAxe++/1.0', 'multi-ASIC hobby', 4.8e12],
  ['NerdMinerV2', 'ESP32', 78e3],
  ['bmminer/2.0.0', 'Antminer', 198e12],
  ['bosminer-plus-tuner', 'Braiins OS', 112e12],
  ['cgminer/4.12.1', 'Avalon Q', 88e12],
];
const NAMES = ['garage', 'attic', 'desk', 'lottery', 's21-cellar', 'heater', 'avalon-q', 'bitaxe-2', 'shelf', 'cabin'];

export const SCENARIOS = ['normal', 'empty', 'node-lost', 'huge'];

/** Deterministic noise between 0 and 1. */
function noise(...seeds) {
  let hash = 2166136261;
  for (const character of seeds.join('/')) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 2246822519);
  hash ^= hash >>> 13;
  return (hash >>> 0) / 2 ** 32;
}

function hexadecimal(length, ...seeds) {
  let digits = '';
  for (let at = 0; digits.length < length; at += 1) digits += Math.floor(noise(...seeds, at) * 16).toString(16);
  return digits;
}

function address(index) {
  const letters = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
  let text = 'bc1q';
  for (let at = 0; at < 38; at += 1) text += letters[Math.floor(noise('address', index, at) * 32)];
  return text;
}

/** The pool of one scenario, at any second. */
export class World {
  constructor(scenario, now) {
    if (!SCENARIOS.includes(scenario)) throw new Error(`unknown scenario "${scenario}": one of ${SCENARIOS.join(', ')}`);
    this.scenario = scenario;
    this.startedAt = now - (scenario === 'empty' ? 42 : 3 * 86_400 + 4 * 3600);
    this.workersKnown = scenario === 'empty' ? 0 : scenario === 'huge' ? 1000 : 10;
    this.network = scenario === 'huge' ? 'testnet4' : 'mainnet';
    this.difficulty = scenario === 'huge' ? 4.13e8 : 152.27e12;
    this.height = scenario === 'huge' ? 112_400 : 924_000;
    this.acceptedBefore = 812_345;
    this.acceptedLive = 0;
    this.tips = 0;
    this.jobAt = now - 10;
    this.found = [];
    this.workerCache = null;
  }

  get nodeUp() {
    return this.scenario !== 'node-lost';
  }

  get hasJob() {
    return this.scenario !== 'empty';
  }

  /** Hashes a second of worker `index` at `now`, averaged over about `window` seconds. */
  rate(index, now, window) {
    const [, , base] = DEVICES[index % DEVICES.length];
    if (this.presence(index) !== 'mining') return 0;
    const wave = 1 + 0.06 * Math.sin(now / 4000 + index);
    const jitter = 1 + (noise('rate', index, Math.floor(now / Math.min(window, 5))) - 0.5) * Math.min(0.5, 6 / Math.sqrt(window));
    return base * wave * jitter * (0.9 + 0.2 * noise('base', index));
  }

  /** A device that has not found a share yet, one that fell silent, some that are gone; the others mine. */
  presence(index) {
    if (this.scenario !== 'huge' && index === 3) return 'waiting';
    if (index % 40 === 7) return 'silent';
    return noise('online', index) > 0.12 || index < 3 ? 'mining' : 'disconnected';
  }

  online(index) {
    return ['waiting', 'mining'].includes(this.presence(index));
  }

  poolRate(now, window) {
    if (this.scenario === 'empty') return 0;
    const [small, wave] = [Math.min(this.workersKnown, 60), this.workersKnown / Math.min(this.workersKnown, 60)];
    let sum = 0;
    for (let index = 0; index < small; index += 1) sum += this.rate(index, now, window);
    return sum * wave;
  }

  hashrates(rateOver) {
    const seconds = [60, 300, 900, 3600, 21_600, 86_400, 604_800];
    return Object.fromEntries(WINDOWS.map((name, index) => [name, rateOver(seconds[index])]));
  }

  rejected(total, seed) {
    const counts = Object.fromEntries(REASONS.map((reason) => [reason, 0]));
    counts.stale = Math.ceil(total * 0.6);
    counts.low_difficulty = Math.floor(total * 0.3);
    counts[REASONS[1 + Math.floor(noise(seed) * 2)]] += total - counts.stale - counts.low_difficulty;
    return counts;
  }

  worker(index, now) {
    const owner = this.scenario === 'huge' ? index % 40 : index < 7 ? 0 : index - 6;
    const own = this.scenario === 'huge' ? `${NAMES[index % NAMES.length]}-${index}` : index === 8 ? '' : NAMES[index];
    const [agent, device, base] = DEVICES[index % DEVICES.length];
    const presence = this.presence(index);
    const [online, here] = [this.online(index), presence !== 'disconnected'];
    const lastShare = this.lastShare(index, presence, now);
    const accepted = presence === 'waiting' ? 0 : Math.floor(20_000 * noise('accepted', index)) + (online ? Math.floor((now - this.startedAt) / 10) : 0);
    const refused = Math.floor(accepted * 0.003 * noise('refused', index));
    const best = (base * 86_400 * 9) / HASHES_PER_DIFFICULTY / (0.02 + noise('best', index));
    return {
      name: own === '' ? address(owner) : `${address(owner)}.${own}`,
      address: address(owner),
      worker_name: own,
      user_agent: agent,
      device_class: device,
      online,
      presence,
      connections: here ? 1 : 0,
      expected_share_seconds: here ? (presence === 'waiting' ? 28.6 : 8 + 6 * noise('every', index)) : null,
      quiet_seconds: here ? (lastShare === null ? 19.5 : now - lastShare + 0.5) : null,
      tip_latency: lastShare === null ? null : { last_seconds: 1 + 20 * noise('tip', index, this.tips), mean_seconds: 9 + 4 * noise('tips', index) },
      hashrates: this.hashrates((window) => this.rate(index, now, window)),
      shares: {
        accepted,
        accepted_difficulty: (accepted * base * 10) / HASHES_PER_DIFFICULTY,
        rejected: refused,
        rejected_by_reason: this.rejected(refused, index),
      },
      best_share: presence === 'waiting' ? { now: 0, ever: 0 } : { now: best * 0.2, ever: best },
      difficulty: here ? (presence === 'waiting' ? 0.0005 : 2 ** Math.round(Math.log2((base * 10) / HASHES_PER_DIFFICULTY))) : null,
      first_seen: presence === 'waiting' ? now - 20 : now - 30 * 86_400,
      last_seen: here ? now : lastShare + 60,
      last_share_at: lastShare,
      blocks_found: index === 4 ? 1 : 0,
      block_pays: this.hasJob ? this.receipt(address(owner)) : null,
    };
  }

  lastShare(index, presence, now) {
    if (presence === 'waiting') return null;
    if (presence === 'silent') return this.startedAt + 3 * 86_400;
    return presence === 'mining' ? now - Math.floor(noise('last', index, Math.floor(now / 10)) * 20) : now - 7200 - index * 600;
  }

  workers(now) {
    if (this.workerCache?.now !== now) {
      this.workerCache = { now, list: Array.from({ length: this.workersKnown }, (_, index) => this.worker(index, now)) };
    }
    return this.workerCache.list;
  }

  overview(now) {
    const workers = this.workers(now);
    const best = workers.reduce((high, worker) => (worker.best_share.ever > (high?.best_share.ever ?? 0) ? worker : high), null);
    const rate = this.poolRate(now, 3600);
    const rejected = this.scenario === 'empty' ? 0 : 217;
    return {
      at: now,
      pool: {
        name: 'WarpPool', version: '0.1.0', location: 'self-hosted', network: this.network, profile: 'small',
        fiat_currency: 'EUR', public_url: null, started_at: this.startedAt, uptime_seconds: now - this.startedAt,
      },
      network: {
        name: this.network,
        height: this.scenario === 'empty' ? 0 : this.height + this.tips,
        tip: hexadecimal(64, 'tip', this.tips),
        difficulty: this.scenario === 'empty' ? null : this.difficulty,
        hashes_per_second: this.scenario === 'empty' ? null : (this.difficulty * HASHES_PER_DIFFICULTY) / 600,
        explorer: this.explorer(),
      },
      hashrates: this.hashrates((window) => this.poolRate(now, window)),
      shares: {
        accepted: this.scenario === 'empty' ? 0 : this.acceptedBefore + this.acceptedLive,
        accepted_difficulty: 98_765_432.5,
        rejected,
        rejected_by_reason: this.rejected(rejected, 'pool'),
      },
      workers: { online: workers.filter((worker) => worker.online).length, known: workers.length },
      connections: { v1: workers.length, v2: 0 },
      best_share: {
        now: (best?.best_share.ever ?? 0) * 0.2,
        ever: best?.best_share.ever ?? 0,
        now_worker: best?.name ?? null,
        ever_worker: best?.name ?? null,
        progress: best ? best.best_share.ever / this.difficulty : null,
      },
      blocks_found: this.blockList(now).filter((block) => block.state === 'confirmed' || block.state === 'accepted').length,
      odds: this.odds(rate),
      template: this.hasJob ? { height: this.height + this.tips + 1, kind: 'full', created_at: this.jobAt, age_seconds: now - this.jobAt } : null,
      node: this.node(now),
      store: { lag_seconds: 0.12, rows_dropped: 0 },
      listeners: [
        { protocol: 'v1', address: '[::]:3333', port: 3333, authority_key: null },
        { protocol: 'v1_tls', address: '[::]:3334', port: 3334, authority_key: null },
        { protocol: 'v2', address: '[::]:3333', port: 3333, authority_key: '9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh' },
      ],
    };
  }

  explorer() {
    const root = this.network === 'mainnet' ? 'https://mempool.space' : `https://mempool.space/${this.network}`;
    return { block: `${root}/block/`, address: `${root}/address/` };
  }

  odds(rate) {
    const expected = rate > 0 ? (this.difficulty * HASHES_PER_DIFFICULTY) / rate : null;
    const within = (days) => (expected === null ? null : -Math.expm1((-days * 86_400) / expected));
    return {
      window: '1h', hashes_per_second: rate, expected_seconds: expected,
      p50_seconds: expected && expected * Math.LN2, p90_seconds: expected && expected * Math.LN10,
      probability_1d: within(1), probability_30d: within(30), probability_365d: within(365),
    };
  }

  node(now) {
    if (this.scenario === 'empty') {
      return { health: 'starting', message: 'No answer from http://127.0.0.1:8332 yet: check that bitcoind runs and that rpc_cookie_path points to its cookie.', since: this.startedAt, nodes: [] };
    }
    return {
      health: this.nodeUp ? 'ready' : 'lost',
      message: this.nodeUp ? '' : 'No node answers: check that bitcoind runs. Miners keep the last work for 2 more minutes.',
      since: this.nodeUp ? this.startedAt + 10 : now - 95,
      nodes: [{
        name: 'http://127.0.0.1:8332', up: this.nodeUp, version: '/Satoshi:29.0.0/', syncing: false, height: this.height + this.tips,
        rpc_latency_seconds: 0.0021, zmq: this.nodeUp, error: this.nodeUp ? '' : 'connection refused',
      }],
    };
  }

  coinbase(payee) {
    const value = this.coinbaseValue();
    const fee = Math.floor(value / 100);
    const outputs = [
      { role: 'miner', address: payee, script: `0014${hexadecimal(40, payee)}`, value_sats: value - fee, percent: 99 },
      { role: 'fee', address: address('fee'), script: `0014${hexadecimal(40, 'fee')}`, value_sats: fee, percent: 1 },
      { role: 'witness commitment', address: null, script: `6a24aa21a9ed${'0'.repeat(64)}`, value_sats: 0, percent: 0 },
    ];
    return { miner_address: payee, miner_sats: value - fee, miner_percent: 99, outputs };
  }

  receipt(payee) {
    const { miner_address: address, miner_sats: sats, miner_percent: percent } = this.coinbase(payee);
    return { address, sats, percent };
  }

  /** Whom a block would pay, by the workers that are connected. */
  payees(now) {
    const payees = new Map();
    for (const worker of this.workers(now).filter((worker) => worker.connections > 0)) {
      const payee = payees.get(worker.address) ?? { ...worker.block_pays, workers: 0, hashes_per_second: 0 };
      payee.workers += 1;
      payee.hashes_per_second += worker.hashrates['1h'];
      payees.set(worker.address, payee);
    }
    return [...payees.values()].sort((one, other) => other.hashes_per_second - one.hashes_per_second);
  }

  coinbaseValue() {
    return 312_500_000 + 1_750_000 + this.tips * 1234;
  }

  job(now) {
    if (!this.hasJob) return { at: now, job: null };
    return {
      at: now,
      job: {
        id: (0x1a2b + this.tips).toString(16), height: this.height + this.tips + 1, previous_block: hexadecimal(64, 'tip', this.tips),
        version: '20000000', bits: '1701ec1b', difficulty: this.difficulty, ntime: this.jobAt, created_at: this.jobAt,
        age_seconds: now - this.jobAt, kind: 'full', transactions: 3120 + this.tips, weight: 3_912_210, coinbase_value_sats: this.coinbaseValue(),
        fees_sats: this.coinbaseValue() - 312_500_000, subsidy_sats: 312_500_000, merkle_branches: 12, payouts: 2,
        coinbase: { tag: '/warppool/', script: '0361190e0400', ...this.coinbase(address(0)) },
        payees: this.payees(now).slice(0, 100),
      },
    };
  }

  blockList(now) {
    if (this.scenario === 'empty') return [];
    const states = [['confirmed', 100, null], ['orphaned', null, null], ['rejected', null, 'bad-txnmrklroot'], ['confirmed', 41, null]];
    const count = this.scenario === 'huge' ? 40 : 4;
    const old = Array.from({ length: count }, (_, index) => {
      const [state, confirmations, reason] = states[index % states.length];
      return this.block(index, this.height - 544 - index * 812, state, confirmations, reason, now - 86_400 * (3 + index * 9));
    });
    return [...this.found, ...old];
  }

  block(index, height, state, confirmations, reason, foundAt) {
    const hash = `0000000000000000000${hexadecimal(45, 'block', height)}`;
    const finder = this.worker(index % 5, foundAt);
    return {
      hash, height, state, confirmations, reject_reason: reason, found_at: foundAt, worker: finder.name, address: finder.address,
      payout_sats: 311_107_500 + index * 41_234, coinbase_value_sats: 314_250_000, share_difficulty: this.difficulty * (1.02 + noise('luck', index)),
      network_difficulty: this.difficulty, explorer_url: this.explorer().block + hash,
    };
  }

  history(now, hours, step, index) {
    const from = Math.floor((now - hours * 3600) / step) * step;
    const points = [];
    for (let at = from; at <= now && this.scenario !== 'empty'; at += step) {
      const rate = index === null ? this.poolRate(at, step) : this.rate(index, at, step);
      const dip = at > now - 9 * 3600 && at < now - 8.6 * 3600 ? 0.4 : 1;
      const seen = at + step > now ? (now - at) / step : 1;
      const best = ((rate * step) / HASHES_PER_DIFFICULTY / (0.03 + noise('share', index, at))) * 0.6;
      if (rate > 0) {
        points.push({ at, hashes_per_second: rate * dip * seen, accepted: 31, accepted_difficulty: (rate * step) / HASHES_PER_DIFFICULTY, rejected: 0, best_share: best });
      }
    }
    return { worker: index === null ? null : this.worker(index, now).name, from, to: now, step_seconds: step, points };
  }

  /** The events of one second. */
  tick(now) {
    const events = [];
    if (this.scenario === 'empty') return events;
    const accepted = 1 + Math.floor(noise('tick', now) * (this.scenario === 'huge' ? 120 : 4));
    this.acceptedLive += accepted;
    events.push({ type: 'shares_accepted', at: now, accepted, difficulty: accepted * 4096, rejected: noise('bad', now) > 0.97 ? 1 : 0 });
    if (this.nodeUp && now - this.jobAt >= 30) {
      this.tips += 1;
      this.jobAt = now;
      events.push({ type: 'new_job', at: now, height: this.height + this.tips + 1, job: (0x1a2b + this.tips).toString(16), clean: true, transactions: 3120, value_sats: this.coinbaseValue() });
    }
    return events;
  }

  /** A block out of the blue, for tests. */
  findBlock(now) {
    const block = this.block(1, this.height + this.tips + 1, 'accepted', null, null, now);
    this.found.unshift(block);
    const { hash, height, worker, payout_sats, state, explorer_url } = block;
    return { type: 'block_found', at: now, hash, height, worker, payout_sats, state, explorer_url };
  }
}
