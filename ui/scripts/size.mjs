/**
 * What a browser must load, compressed: `npm run size`, after `npm run build`. Fails over the budget.
 * The first view is index.html with everything it names; the chart and a worker's panel follow when they are shown.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const FIRST_VIEW_BYTES_MAX = 60 * 1024;
const ALL_BYTES_MAX = 130 * 1024;

const bytes = (name) => gzipSync(readFileSync(DIST + name), { level: 9 }).length;
const all = readdirSync(DIST, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`.slice(DIST.length).replace(/^\//, ''))
  .sort();
const page = readFileSync(`${DIST}index.html`, 'utf8');
const first = ['index.html', ...all.filter((name) => page.includes(`./${name}`))];

const kilobytes = (count) => `${(count / 1024).toFixed(1).padStart(6)} KB`;
const sum = (names) => names.reduce((total, name) => total + bytes(name), 0);
for (const name of all) console.log(`${kilobytes(bytes(name))}  ${first.includes(name) ? 'first' : 'later'}  ${name}`);

let failed = false;
for (const [label, names, limit] of [['first view', first, FIRST_VIEW_BYTES_MAX], ['everything', all, ALL_BYTES_MAX]]) {
  const total = sum(names);
  failed ||= total > limit;
  console.log(`${kilobytes(total)}  ${label}, at most ${limit / 1024} KB gzip${total > limit ? ': TOO LARGE' : ''}`);
}
process.exit(failed ? 1 : 0);
