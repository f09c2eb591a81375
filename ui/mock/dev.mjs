/** Vite's development server over the mock: `npm run dev:mock [-- SCENARIO]`. */

import { createServer } from 'vite';
import { startMock } from './server.mjs';

const { url } = await startMock({ scenario: process.argv[2] ?? 'normal' });
process.env['WARPPOOL_URL'] = url;
const vite = await createServer();
await vite.listen();
vite.printUrls();
