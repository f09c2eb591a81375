/** Choices of the one who looks, and where in the page they are. */

import { HIDDEN_ADDRESS, shortAddress } from './address';
import { readPreference, writePreference } from './preferences';
import { parseRoute, type Route } from './route';

const HIDE_ADDRESSES = 'hide-addresses';
const WINDOW = 'hashrate-window';
const SPAN = 'chart-hours';

/** All windows, as a worker's page shows them. */
export const ALL_WINDOWS = ['1m', '5m', '15m', '1h', '6h', '1d', '7d'] as const;

/** Windows that can be chosen for the large figure. */
export const WINDOWS = ['1m', '5m', '1h', '1d'] as const;

class View {
  route = $state.raw<Route>({ page: 'home' });
  addressesHidden = $state(readPreference(HIDE_ADDRESSES) === 'yes');
  window = $state(WINDOWS.find((window) => window === readPreference(WINDOW)) ?? '5m');
  chartHours = $state([1, 6, 24].find((hours) => String(hours) === readPreference(SPAN)) ?? 6);

  toggleAddresses(): void {
    this.addressesHidden = !this.addressesHidden;
    writePreference(HIDE_ADDRESSES, this.addressesHidden ? 'yes' : 'no');
  }

  chooseWindow(window: (typeof WINDOWS)[number]): void {
    this.window = window;
    writePreference(WINDOW, window);
  }

  chooseChartHours(hours: number): void {
    this.chartHours = hours;
    writePreference(SPAN, String(hours));
  }

  /** An address as it may be shown now. */
  address(address: string, whole = false): string {
    if (this.addressesHidden) return HIDDEN_ADDRESS;
    return whole ? address : shortAddress(address);
  }

  /** Follows the address bar; returns what stops it. */
  start(): () => void {
    const follow = (): void => {
      this.route = parseRoute(location.hash);
    };
    follow();
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }
}

export const view = new View();
