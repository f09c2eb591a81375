import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The pool's own address during `npm run dev`; `npm run dev:mock` sets it to the mock's.
const poolUrl = process.env['WARPPOOL_URL'] ?? 'http://127.0.0.1:18334';

export default defineConfig({
  plugins: [svelte()],
  // Relative addresses, so that the dashboard works under any path of a reverse proxy.
  base: './',
  build: {
    outDir: 'dist',
    target: 'es2022',
    // Nothing inlined as data: or as a script in the page: the Content-Security-Policy is default-src 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: { proxy: { '/api': poolUrl, '/readyz': poolUrl, '/healthz': poolUrl } },
  test: { include: ['test/**/*.test.ts'], testTimeout: 10_000 },
});
