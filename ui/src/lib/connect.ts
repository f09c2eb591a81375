/** What a miner is to be given as the pool's address. */

import type { Overview } from './api';

type Listener = Overview['listeners'][number];

const SCHEMES: Record<string, string> = { v1: 'stratum+tcp', v1_tls: 'stratum+ssl', v2: 'stratum2+tcp' };
const EVERY_INTERFACE = /^(\[::\]|0\.0\.0\.0|\*|):\d+$/;
const LOOPBACK = /^(127\.|\[::1\]|localhost)/;

/** One address for a miner. */
export interface MinerAddress {
  protocol: string;
  url: string;
}

/** Addresses that miners can use, as seen from a page at `pageHost` (no port; IPv6 in brackets). */
export function minerAddresses(listeners: readonly Listener[], publicUrl: string | null, pageHost: string): MinerAddress[] {
  const host = hostOf(publicUrl) ?? pageHost;
  return listeners
    .filter((listener) => listener.port !== null || !EVERY_INTERFACE.test(listener.address))
    .filter((listener) => !LOOPBACK.test(listener.address) || LOOPBACK.test(pageHost))
    .map((listener) => {
      const place = EVERY_INTERFACE.test(listener.address) ? `${host}:${listener.port}` : listener.address;
      const key = listener.authority_key === null ? '' : `/${listener.authority_key}`;
      return { protocol: listener.protocol, url: `${SCHEMES[listener.protocol] ?? 'stratum+tcp'}://${place}${key}` };
    });
}

function hostOf(url: string | null): string | null {
  try {
    return url === null || url === '' ? null : new URL(url).hostname;
  } catch {
    return null;
  }
}
