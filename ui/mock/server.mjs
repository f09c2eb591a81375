/**
 * The pool's HTTP interface with made-up figures, for development and tests. Serves the built dashboard too, under
 * the Content-Security-Policy that the pool sends.
 *
 *   node mock/server.mjs [--port 18334] [--scenario normal|empty|node-lost|huge]
 *
 * `GET /mock/scenario?name=huge` changes the scenario, `POST /mock/block` finds a block, `POST /mock/drop` cuts all event
 * streams, `POST /mock/down` and `/mock/up` make every answer of the interface a 503 and undo it.
 */

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { World } from './world.mjs';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
export const CONTENT_SECURITY_POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };
const EVENTS_KEPT = 1024;
const SORTS = {
  hashrate: (a, b) => Number(b.online) - Number(a.online) || b.hashrates['1h'] - a.hashrates['1h'],
  best_share: (a, b) => b.best_share.ever - a.best_share.ever,
  shares: (a, b) => b.shares.accepted - a.shares.accepted,
  rejected: (a, b) => b.shares.rejected - a.shares.rejected,
  last_share: (a, b) => (b.last_share_at ?? 0) - (a.last_share_at ?? 0),
  name: (a, b) => (a.name < b.name ? -1 : 1),
};

/** Starts a mock on `port` (0: the system chooses); `close` ends it with all its streams. */
export async function startMock({ port = 0, scenario = 'normal' } = {}) {
  const mock = new Mock(scenario);
  const server = createServer((request, response) => mock.answer(request, response));
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const ticker = setInterval(() => mock.tick(), 1000);
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    mock,
    close: async () => {
      clearInterval(ticker);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Mock {
  constructor(scenario) {
    this.listeners = new Set();
    this.events = [];
    this.eventId = 0;
    /** `Last-Event-ID` of each stream that was opened, for tests. */
    this.resumedFrom = [];
    this.down = false;
    this.setScenario(scenario);
  }

  get now() {
    return Math.floor(Date.now() / 1000);
  }

  setScenario(scenario) {
    this.world = new World(scenario, this.now);
  }

  tick() {
    if (!this.down) for (const event of this.world.tick(this.now)) this.publish(event);
  }

  publish(event) {
    this.eventId += 1;
    const text = `id: ${this.eventId}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    this.events.push({ id: this.eventId, text });
    this.events.splice(0, this.events.length - EVENTS_KEPT);
    for (const response of this.listeners) response.write(text);
  }

  dropStreams() {
    for (const response of this.listeners) response.destroy();
  }

  answer(request, response) {
    const url = new URL(request.url, 'http://mock');
    if (url.pathname.startsWith('/mock/')) return this.control(url, response);
    if (!url.pathname.startsWith('/api/')) return serveFile(url.pathname, response);
    if (this.down) return problem(response, 503, 'Service Unavailable', 'The pool has not published a snapshot yet.');
    const parts = url.pathname.split('/').slice(2).map(decodeURIComponent);
    return this.api(parts, url.searchParams, request, response);
  }

  api([first, second, third], query, request, response) {
    const { world, now } = this;
    switch (first) {
      case 'overview':
        return json(response, world.overview(now));
      case 'hashrate':
        return this.history(response, query, query.get('worker'));
      case 'jobs':
        return json(response, world.job(now));
      case 'qr':
        return json(response, pretendedCode(query.get('text') ?? ''));
      case 'blocks':
        return this.page(response, query, world.blockList(now), (blocks, next) => ({ at: now, blocks_found: blocks.length, blocks, next_cursor: next }));
      case 'events':
        return this.listen(request, response);
      case 'workers':
        if (second === undefined) return this.workers(response, query);
        return third === 'history' ? this.history(response, query, second) : this.worker(response, second);
    }
    return problem(response, 404, 'Not Found', `No such path.`);
  }

  workers(response, query) {
    const sort = query.get('sort') ?? 'hashrate';
    const order = SORTS[sort.replace(/^-/, '')];
    if (!order) return problem(response, 400, 'Bad Request', `sort is "${sort}": one of ${Object.keys(SORTS).join(', ')}.`);
    const needle = (query.get('q') ?? '').toLowerCase();
    const fitting = this.world.workers(this.now).filter((worker) => `${worker.name} ${worker.user_agent} ${worker.device_class}`.toLowerCase().includes(needle));
    const sorted = fitting.sort((a, b) => (sort.startsWith('-') ? order(b, a) : order(a, b)));
    return this.page(response, query, sorted, (workers, next) => ({ at: this.now, matching: sorted.length, workers, next_cursor: next }));
  }

  page(response, query, all, shape) {
    const limit = Number(query.get('limit') ?? 100);
    if (!(limit >= 1 && limit <= 1000)) return problem(response, 400, 'Bad Request', `limit is "${query.get('limit')}": 1 to 1000.`);
    const start = Number(query.get('cursor') ?? 0);
    const end = start + limit;
    return json(response, shape(all.slice(start, end), end < all.length ? String(end) : null));
  }

  worker(response, name) {
    const worker = this.world.workers(this.now).find((candidate) => candidate.name === name);
    if (!worker) return problem(response, 404, 'Not Found', `No worker is named "${name}". GET /api/workers lists the known ones.`);
    const payout = this.world.hasJob ? this.world.coinbase(worker.address) : null;
    return json(response, { at: this.now, worker, odds: this.world.odds(worker.hashrates['1h']), payout });
  }

  history(response, query, name) {
    const index = name === null ? null : this.world.workers(this.now).findIndex((worker) => worker.name === name);
    if (index === -1) return problem(response, 404, 'Not Found', `No worker is named "${name}".`);
    return json(response, this.world.history(this.now, Number(query.get('hours') ?? 24), Number(query.get('step') ?? 300), index));
  }

  listen(request, response) {
    const last = request.headers['last-event-id'];
    this.resumedFrom.push(last ?? null);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': welcome\n\n');
    if (last !== undefined) for (const event of this.events) if (event.id > Number(last)) response.write(event.text);
    this.listeners.add(response);
    const comment = setInterval(() => response.write(':\n\n'), 15_000);
    response.on('close', () => {
      clearInterval(comment);
      this.listeners.delete(response);
    });
  }

  control(url, response) {
    const action = url.pathname.slice('/mock/'.length);
    if (action === 'scenario') this.setScenario(url.searchParams.get('name'));
    else if (action === 'block') this.publish(this.world.findBlock(this.now));
    else if (action === 'drop') this.dropStreams();
    else if (action === 'down') this.down = true;
    else if (action === 'up') this.down = false;
    if (action === 'scenario' || action === 'down') this.dropStreams();
    return json(response, { done: action });
  }
}

/** Looks like a QR code and says nothing: the pool makes real ones. */
function pretendedCode(text) {
  const size = 37;
  const corner = (x, y) => Math.max(Math.abs(x - 3), Math.abs(y - 3));
  const module = (x, y) => {
    const distance = Math.min(corner(x, y), corner(size - 1 - x, y), corner(x, size - 1 - y));
    return distance <= 4 ? distance < 2 || distance === 3 : (x * 7 + y * 13 + text.charCodeAt((x * size + y) % text.length)) % 3 === 0;
  };
  const rows = Array.from({ length: size }, (_, y) => Array.from({ length: size }, (_, x) => (module(x, y) ? '1' : '0')).join(''));
  return { text, size, rows };
}

function json(response, body, status = 200, type = 'application/json') {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function problem(response, status, title, detail) {
  json(response, { type: 'about:blank', title, status, detail }, status, 'application/problem+json');
}

function serveFile(pathname, response) {
  const relative = normalize(decodeURIComponent(pathname)).replace(/^\/+/, '') || 'index.html';
  const file = join(DIST, relative);
  if (!file.startsWith(DIST) || !existsSync(file) || !statSync(file).isFile()) return problem(response, 404, 'Not Found', 'No such file.');
  response.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'x-content-type-options': 'nosniff',
  });
  createReadStream(file).pipe(response);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, fallback) => {
    const at = process.argv.indexOf(`--${name}`);
    return at === -1 ? fallback : process.argv[at + 1];
  };
  const { url } = await startMock({ port: Number(option('port', '18334')), scenario: option('scenario', 'normal') });
  console.log(`mock pool at ${url}`);
}
