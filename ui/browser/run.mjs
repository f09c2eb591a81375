/**
 * The dashboard in a real browser: `npm run test:browser`, after `npm run build`. It serves dist/ and the mock under the
 * pool's Content-Security-Policy and leaves pictures in test-results/. With `WARPPOOL_URL` set it looks at that pool
 * instead, and leaves out what would need another world.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { startMock } from '../mock/server.mjs';

const RESULTS = fileURLToPath(new URL('../test-results/', import.meta.url));
const DIST_PAGE = fileURLToPath(new URL('../dist/index.html', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const BROWSER_ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };
const DEADLINE_MS = 10_000;
/** The whole run; a page that hangs does not hang the build. */
const RUN_MS_MAX = 180_000;

/** Ends the run with a sentence, when it cannot even start. */
function refuse(sentence) {
  console.error(sentence);
  process.exit(1);
}

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
if (!existsSync(executablePath)) {
  refuse(`No browser at ${executablePath}: install the Debian package "chromium" (apt-get install chromium), or set CHROMIUM to one.`);
}
const poolUrl = process.env['WARPPOOL_URL'];
if (!poolUrl && !existsSync(DIST_PAGE)) refuse('dist/index.html is missing: run "npm run build" first.');

/** A page that remembers everything it should not have done. */
class Watched {
  static async open(browser, base, viewport, options = {}) {
    const context = await browser.newContext({ viewport, reducedMotion: 'reduce', ...options.context });
    if (options.script) await context.addInitScript(options.script);
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    const watched = new Watched(page, base, options.tolerated ?? []);
    await page.goto(base + (options.hash ?? ''));
    return watched;
  }

  constructor(page, base, tolerated) {
    this.page = page;
    this.faults = [];
    const origin = new URL(base).origin;
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      if (!tolerated.some((pattern) => pattern.test(message.text()))) this.faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.faults.push(`error: ${error.stack ?? error.message}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol !== 'data:' && url.origin !== origin) this.faults.push(`request to another origin: ${url}`);
    });
  }

  async close() {
    await this.page.context().close();
    assert.deepEqual(this.faults, [], 'the page did what it should not');
  }

  text(selector) {
    return this.page.locator(selector).first().innerText();
  }

  see(text) {
    return this.page.getByText(text).first().waitFor({ timeout: DEADLINE_MS });
  }

  /** Waits until the text under `selector` is no longer `before`. */
  changed(selector, before) {
    return this.page.waitForFunction(([query, old]) => document.querySelector(query)?.innerText !== old, [selector, before], { timeout: DEADLINE_MS });
  }

  async picture(name, fullPage = true) {
    await this.page.evaluate(() => scrollTo(0, 0));
    return this.page.screenshot({ path: `${RESULTS}${name}.png`, fullPage });
  }

  async assertFits() {
    const width = await this.page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    if (width[0] <= width[1]) return;
    const wide = await this.page.evaluate(() => [...document.querySelectorAll('main *')].filter((element) => element.getBoundingClientRect().right > innerWidth).slice(0, 5).map((element) => element.outerHTML.slice(0, 120)));
    assert.fail(`the page is ${width[0]} pixels wide in a window of ${width[1]}: ${wide.join('\n')}`);
  }

  async assertAccessible() {
    await this.page.evaluate(AXE);
    const violations = await this.page.evaluate(async () => {
      const result = await window.axe.run(document, { resultTypes: ['violations'] });
      return result.violations.map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.html).slice(0, 3).join(' | ')}`);
    });
    assert.deepEqual(violations, [], 'axe-core found violations');
  }

  /** Figures and lists have arrived. */
  async ready() {
    await this.page.waitForFunction(() => /\d/.test(document.querySelector('[data-testid=accepted]')?.innerText ?? ''), null, { timeout: DEADLINE_MS });
    await this.page.locator('section[aria-labelledby=workers-title] :is(table, .empty strong)').first().waitFor({ timeout: DEADLINE_MS });
  }
}

/** `npm run test:browser -- WORD` runs those whose name contains the word. */
const chosen = process.argv[2] ?? '';
const tests = [];
const test = (name, body, { readOnly = false } = {}) => name.includes(chosen) && tests.push({ name, body, readOnly });

test('figures arrive and stay within the page, on a desk and on a phone', async ({ browser, url }) => {
  for (const [name, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
    const watched = await Watched.open(browser, url, viewport);
    await watched.ready();
    assert.match(await watched.text('[data-testid=hashrate]'), /^[\d.,]+\s*[kMGTPEZ]?H\/s$/);
    await watched.page.locator('.uplot, section[aria-labelledby=chart-title] .empty').first().waitFor({ timeout: DEADLINE_MS });
    const workers = watched.page.locator('section[aria-labelledby=workers-title]');
    await workers.scrollIntoViewIfNeeded();
    if (!poolUrl && viewport === DESKTOP) await workers.locator('tbody tr:nth-child(5) rect:not(.idle)').first().waitFor({ state: 'attached' });
    await watched.picture(`normal-${name}`);
    await watched.assertFits();
    await watched.assertAccessible();
    await watched.close();
  }
}, { readOnly: true });

test('events of the stream change the figures without a reload', async ({ browser, url }) => {
  const watched = await Watched.open(browser, url, DESKTOP);
  await watched.ready();
  await watched.see('Live');
  // From here on no poll is answered; one may be under way, so the second and third change can only come from events.
  await watched.page.route('**/api/overview', () => undefined);
  for (let change = 0; change < 3; change += 1) await watched.changed('[data-testid=accepted]', await watched.text('[data-testid=accepted]'));
  await watched.close();
}, { readOnly: true });

test('a worker opens from the list, has its own chart and payout, and closes by Escape', async ({ browser, url }) => {
  const watched = await Watched.open(browser, url, DESKTOP);
  await watched.ready();
  await watched.page.locator('tbody a[href^="#/workers/"]').first().click();
  const dialog = watched.page.getByRole('dialog');
  await dialog.getByText('A block found by this worker now pays').waitFor({ timeout: DEADLINE_MS });
  await dialog.getByText(/You get [\d.]+%/).waitFor({ timeout: DEADLINE_MS });
  await dialog.locator('.uplot').waitFor({ timeout: DEADLINE_MS });
  await dialog.getByText(/^Mining, one share every \d+ sec$/).waitFor({ timeout: DEADLINE_MS });
  await dialog.getByText(/^of a block now: [\d,]+ sats to bc1q/).waitFor({ timeout: DEADLINE_MS });
  assert.equal(await dialog.locator('.rates div').count(), 8, 'seven windows and the time between two shares');
  assert.ok((await dialog.locator('section[aria-labelledby=worker-rejects] li').count()) >= 2);
  assert.match(watched.page.url(), /#\/workers\/./);
  await watched.assertAccessible();
  await watched.picture('worker-desktop', false);
  await watched.page.setViewportSize({ width: DESKTOP.width, height: 1700 });
  await watched.picture('worker-whole-desktop', false);
  await watched.page.setViewportSize(PHONE);
  await watched.assertFits();
  await watched.picture('worker-phone', false);
  await watched.page.setViewportSize({ width: PHONE.width, height: 2300 });
  await watched.picture('worker-whole-phone', false);
  await watched.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached', timeout: DEADLINE_MS });
  await watched.page.waitForURL(/#\/$/, { timeout: DEADLINE_MS });
  await watched.close();
});

test('a worker without a share is expected, and a silent one is told from it', async ({ browser, url }) => {
  const watched = await Watched.open(browser, url, DESKTOP);
  await watched.ready();
  const workers = watched.page.locator('section[aria-labelledby=workers-title]');
  await workers.getByText('Connected, no share yet: one every 29 sec expected').waitFor({ timeout: DEADLINE_MS });
  await workers.getByText(/^No share for \d+ hr, one every \d+ sec expected$/).waitFor({ timeout: DEADLINE_MS });
  await workers.getByRole('link', { name: /^lottery/ }).click();
  await watched.page.getByRole('dialog').getByText('None of its shares').waitFor({ timeout: DEADLINE_MS });
  await watched.assertAccessible();
  await watched.picture('worker-waiting-desktop', false);
  await watched.close();
});

test('an unknown worker is said to be unknown', async ({ browser, url }) => {
  const watched = await Watched.open(browser, url, DESKTOP, { hash: '#/workers/nobody.here', tolerated: [/404/] });
  await watched.see('No such worker is known');
  await watched.close();
});

test('without workers and node the page says how to connect and what it waits for', async ({ browser, url, mock }) => {
  mock.setScenario('empty');
  for (const [name, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
    const watched = await Watched.open(browser, url, viewport);
    await watched.see('No workers yet');
    await watched.see('stratum+tcp://127.0.0.1:3333');
    await watched.see('Waiting for the node');
    await watched.see('check that bitcoind runs');
    await watched.see('No blocks yet');
    await watched.see('The line starts with the first shares');
    await watched.picture(`empty-${name}`);
    await watched.assertFits();
    await watched.assertAccessible();
    await watched.close();
  }
});

test('an address of the pool is shown as a QR code', async ({ browser, url, mock }) => {
  mock.setScenario('empty');
  for (const [name, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
    const watched = await Watched.open(browser, url, viewport);
    const button = watched.page.getByRole('button', { name: 'QR code: Stratum V2' });
    await button.click();
    const code = watched.page.getByRole('img', { name: /^QR code of stratum2\+tcp:\/\/127\.0\.0\.1:3333\/9bXi/ });
    await code.waitFor({ timeout: DEADLINE_MS });
    assert.equal(await button.getAttribute('aria-expanded'), 'true');
    await watched.picture(`qr-${name}`);
    await watched.assertFits();
    await watched.assertAccessible();
    await button.click();
    await code.waitFor({ state: 'detached', timeout: DEADLINE_MS });
    await watched.close();
  }
});

test('a lost node is told with what to do', async ({ browser, url, mock }) => {
  mock.setScenario('node-lost');
  const watched = await Watched.open(browser, url, DESKTOP);
  await watched.see('The Bitcoin node does not answer');
  await watched.see('Miners keep the last work for 2 more minutes');
  await watched.ready();
  await watched.picture('node-lost-desktop');
  await watched.assertAccessible();
  await watched.close();
});

test('a thousand workers are sorted, searched and paged', async ({ browser, url, mock }) => {
  mock.setScenario('huge');
  const watched = await Watched.open(browser, url, DESKTOP);
  await watched.ready();
  const rows = watched.page.locator('section[aria-labelledby=workers-title] tbody tr');
  await watched.page.waitForFunction(() => document.querySelectorAll('section[aria-labelledby=workers-title] tbody tr').length === 25, null, { timeout: DEADLINE_MS });
  await watched.page.getByRole('button', { name: /Show \d+ more/ }).click();
  await watched.page.waitForFunction(() => document.querySelectorAll('section[aria-labelledby=workers-title] tbody tr').length === 100, null, { timeout: DEADLINE_MS });
  await watched.page.getByRole('button', { name: 'Best share' }).click();
  await watched.page.locator('tbody tr:first-child .medal-0').waitFor({ timeout: DEADLINE_MS });
  await watched.page.locator('th[aria-sort=descending]', { hasText: 'Best share' }).waitFor({ timeout: DEADLINE_MS });
  await watched.page.getByRole('searchbox').fill('cellar-4');
  await watched.page.waitForFunction(() => document.querySelectorAll('section[aria-labelledby=workers-title] tbody tr').length === 12, null, { timeout: DEADLINE_MS });
  await watched.page.getByRole('searchbox').fill('nobody at all');
  await watched.see('No worker matches “nobody at all”');
  await watched.page.getByRole('searchbox').fill('');
  await rows.first().waitFor({ timeout: DEADLINE_MS });
  await watched.picture('huge-desktop', false);
  await watched.assertAccessible();
  await watched.page.setViewportSize(PHONE);
  await watched.assertFits();
  await watched.picture('huge-phone', false);
  await watched.close();
});

test('a found block is shown at once', async ({ browser, url, mock }) => {
  const watched = await Watched.open(browser, url, DESKTOP);
  await watched.ready();
  await watched.see('Live');
  mock.publish(mock.world.findBlock(mock.now));
  await watched.see(/Block [\d,]+ found by attic!/);
  await watched.see('Accepted');
  await watched.picture('block-found-desktop', false);
  await watched.close();
});

test('a lost stream comes back behind its last event, and a lost pool is told', async ({ browser, url, mock }) => {
  const watched = await Watched.open(browser, url, DESKTOP, { tolerated: [/503|Failed to load|ERR_/] });
  await watched.ready();
  await watched.see('Live');
  await watched.changed('[data-testid=accepted]', await watched.text('[data-testid=accepted]'));
  const streams = mock.resumedFrom.length;
  mock.down = true;
  mock.dropStreams();
  await watched.see('The pool cannot show its figures');
  await watched.see('has not published a snapshot yet. Figures are');
  await watched.see('Offline');
  await watched.picture('offline-desktop', false);
  mock.down = false;
  await watched.see('Live');
  await watched.page.getByText('The pool cannot show its figures').waitFor({ state: 'detached', timeout: DEADLINE_MS });
  assert.match(mock.resumedFrom.slice(streams).find((id) => id !== null) ?? 'none', /^\d+$/);
  await watched.close();
});

test('addresses are hidden everywhere, and that is remembered', async ({ browser, url }) => {
  const watched = await Watched.open(browser, url, DESKTOP);
  await watched.ready();
  await watched.page.getByRole('button', { name: 'Hide addresses' }).click();
  const assertHidden = async () => assert.doesNotMatch(await watched.page.evaluate(() => document.body.innerText + document.title), /bc1q/);
  await watched.page.waitForFunction(() => !document.body.innerText.includes('bc1q'), null, { timeout: DEADLINE_MS });
  await watched.page.reload();
  await watched.ready();
  await assertHidden();
  await watched.picture('hidden-desktop', false);
  await watched.close();
});

test('it works when the browser forbids storage', async ({ browser, url }) => {
  const forbid = () => Object.defineProperty(window, 'localStorage', { get: () => { throw new DOMException('denied', 'SecurityError'); } });
  const watched = await Watched.open(browser, url, DESKTOP, { script: forbid });
  await watched.ready();
  await watched.page.getByRole('button', { name: 'Hide addresses' }).click();
  await watched.page.waitForFunction(() => !document.body.innerText.includes('bc1q'), null, { timeout: DEADLINE_MS });
  await watched.close();
});

async function main() {
  rmSync(RESULTS, { recursive: true, force: true });
  mkdirSync(RESULTS, { recursive: true });
  const started = poolUrl ? null : await startMock();
  const url = poolUrl ? poolUrl.replace(/\/?$/, '/') : started.url;
  const browser = await chromium.launch({ executablePath, args: BROWSER_ARGUMENTS });
  let failures = 0;
  try {
    for (const { name, body } of tests.filter((candidate) => !poolUrl || candidate.readOnly)) {
      started?.mock.setScenario('normal');
      try {
        await body({ browser, url, mock: started?.mock });
        console.log(`ok    ${name}`);
      } catch (error) {
        failures += 1;
        console.error(`FAIL  ${name}\n${error.stack}\n`);
      }
    }
  } finally {
    await browser.close();
    await started?.close();
  }
  console.log(failures === 0 ? `all passed; pictures are in ${RESULTS}` : `${failures} failed`);
  process.exitCode = failures === 0 ? 0 : 1;
}

setTimeout(() => refuse(`The run took longer than ${RUN_MS_MAX / 1000} seconds.`), RUN_MS_MAX).unref();
await main();
