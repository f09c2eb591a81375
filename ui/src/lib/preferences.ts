/** What a browser remembers for its user. Storage may be forbidden (private windows, policies): then nothing is kept. */

const PREFIX = 'warppool.';

/** The stored text, or null. */
export function readPreference(name: string): string | null {
  try {
    return globalThis.localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/** Keeps a text if that is possible. */
export function writePreference(name: string, value: string): void {
  try {
    globalThis.localStorage.setItem(PREFIX + name, value);
  } catch {
    // The choice holds until the page is left.
  }
}
