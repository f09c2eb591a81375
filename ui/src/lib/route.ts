/** The part of the address behind `#`: it works under any path and needs no help from the server. */

export type Route = { page: 'home' } | { page: 'worker'; name: string };

const WORKERS = '#/workers/';

/** What an address's hash asks for; anything unknown is the home page. */
export function parseRoute(hash: string): Route {
  if (!hash.startsWith(WORKERS)) return { page: 'home' };
  try {
    const name = decodeURIComponent(hash.slice(WORKERS.length));
    return name === '' ? { page: 'home' } : { page: 'worker', name };
  } catch {
    return { page: 'home' };
  }
}

/** Link to a worker's panel. */
export function workerHref(name: string): string {
  return WORKERS + encodeURIComponent(name);
}
