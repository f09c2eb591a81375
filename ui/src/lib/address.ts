/** Addresses as they are shown, and whether they are. */

/** What stands for an address that is not to be seen. */
export const HIDDEN_ADDRESS = '••••••••';

/** Long addresses lose their middle: `bc1q9xtv…k7dqf`. */
export function shortAddress(address: string): string {
  return address.length <= 16 ? address : `${address.slice(0, 8)}…${address.slice(-5)}`;
}

/** `address.name`, apart. A worker without a name of its own is its address alone. */
export function splitLabel(label: string): { address: string; name: string } {
  const dot = label.indexOf('.');
  return dot === -1 ? { address: label, name: '' } : { address: label.slice(0, dot), name: label.slice(dot + 1) };
}

/** A link that came with an answer, if it is one to the web. */
export function webLink(url: string | null): string | null {
  return url !== null && /^https?:\/\//.test(url) ? url : null;
}
