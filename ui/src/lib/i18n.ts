/** The language in use: its texts and the formats of its locale. One table for now; a choice comes with the second. */

import { Format } from './format';
import { en, type Messages } from './messages/en';

export const text: Messages = en;

/** English words, but the figures of the browser's own region, when it is an English one. */
function preferredLocale(): string {
  const preferred = globalThis.navigator?.languages?.find((language) => language.startsWith(text.locale));
  return preferred ?? text.locale;
}

export const format = new Format(preferredLocale());
