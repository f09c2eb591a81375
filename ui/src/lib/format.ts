/**
 * Figures as text. Everything goes through Intl, so that another language needs another locale and nothing else.
 * What is unknown is an en dash, never NaN.
 */

/** Stands for a figure that is not known. */
export const UNKNOWN = '–';

/** A figure and its unit, apart because they are set in different sizes. */
export interface Quantity {
  value: string;
  unit: string;
}

const SI_PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'] as const;
const SATS_PER_BITCOIN = 100_000_000;
const YEAR_SECONDS = 31_557_600;
/** From here on hours beside the days are noise. */
const SINGLE_UNIT_FROM_SECONDS = 30 * 86_400;
const SECOND = { seconds: 1, name: 'second' };
const SPAN_UNITS = [{ seconds: 86_400, name: 'day' }, { seconds: 3600, name: 'hour' }, { seconds: 60, name: 'minute' }, SECOND];

const formatters = new Map<string, Intl.NumberFormat>();

function numberFormat(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options);
  const known = formatters.get(key);
  if (known) return known;
  const made = new Intl.NumberFormat(locale, options);
  formatters.set(key, made);
  return made;
}

/** Formats for one locale. */
export class Format {
  readonly locale: string;

  constructor(locale: string) {
    this.locale = locale;
  }

  /** `12,345`. */
  integer(value: number | null): string {
    if (value === null || !Number.isFinite(value)) return UNKNOWN;
    return numberFormat(this.locale, { maximumFractionDigits: 0 }).format(value);
  }

  /** Three significant digits and an SI prefix: 1234567 is `1.23` `M`. */
  si(value: number | null): Quantity {
    if (value === null || !Number.isFinite(value)) return { value: UNKNOWN, unit: '' };
    // Rounded first: 999.6 is 1.00 k, not 1000.
    const rounded = Number(value.toPrecision(3));
    const magnitude = Math.abs(rounded);
    const step = magnitude < 1000 ? 0 : Math.min(SI_PREFIXES.length - 1, Math.floor(Math.log10(magnitude) / 3));
    return { value: this.threeDigits(rounded / 1000 ** step), unit: SI_PREFIXES[step] ?? '' };
  }

  /** Hashes a second: `1.23` `TH/s`. Below one hash a second the figure is 0. */
  hashrate(hashesPerSecond: number | null): Quantity {
    const known = hashesPerSecond !== null && hashesPerSecond < 1 ? 0 : hashesPerSecond;
    const { value, unit } = this.si(known);
    return { value, unit: `${unit}H/s` };
  }

  /** The same in one string. */
  hashrateText(hashesPerSecond: number | null): string {
    const { value, unit } = this.hashrate(hashesPerSecond);
    return value === UNKNOWN ? UNKNOWN : `${value} ${unit}`;
  }

  /** A difficulty as miners write it: `4.29 G`; small ones keep three significant digits. */
  difficulty(difficulty: number | null): string {
    if (difficulty === null || !Number.isFinite(difficulty)) return UNKNOWN;
    if (difficulty === 0) return '0';
    if (difficulty < 1e-6) return numberFormat(this.locale, { notation: 'scientific', maximumSignificantDigits: 2 }).format(difficulty);
    const { value, unit } = this.si(difficulty);
    return unit === '' ? value : `${value} ${unit}`;
  }

  /** A power of ten without needless zeros, for scales: `10 k`. */
  powerOfTen(value: number): string {
    if (value < 0.001) return numberFormat(this.locale, { notation: 'scientific', maximumSignificantDigits: 1 }).format(value);
    const step = Math.min(SI_PREFIXES.length - 1, Math.max(0, Math.floor((Math.log10(value) + 1e-9) / 3)));
    const scaled = numberFormat(this.locale, { maximumSignificantDigits: 1, useGrouping: false }).format(value / 1000 ** step);
    return step === 0 ? scaled : `${scaled} ${SI_PREFIXES[step] ?? ''}`;
  }

  /** `3.12500000`: bitcoin with all eight places. */
  bitcoin(sats: number | null): string {
    if (sats === null || !Number.isFinite(sats)) return UNKNOWN;
    return numberFormat(this.locale, { minimumFractionDigits: 8, maximumFractionDigits: 8 }).format(sats / SATS_PER_BITCOIN);
  }

  /** `97.5 %` of a share between 0 and 1. */
  percent(share: number | null, fractionDigits = 2): string {
    if (share === null || !Number.isFinite(share)) return UNKNOWN;
    return numberFormat(this.locale, { style: 'percent', maximumFractionDigits: fractionDigits }).format(share);
  }

  /** A probability for people: `0.45 %` while it can be read, otherwise `null`: say `oneIn` then. */
  probability(probability: number): string | null {
    if (!(probability >= 0.0001)) return null;
    if (probability > 0.9999) return `> ${this.percent(0.9999)}`;
    return numberFormat(this.locale, { style: 'percent', maximumSignificantDigits: 3 }).format(probability);
  }

  /** The N of "one in N", with three significant digits: `1.24 million`. */
  oneIn(probability: number): string {
    if (!(probability > 0)) return UNKNOWN;
    return numberFormat(this.locale, { notation: 'compact', compactDisplay: 'long', maximumSignificantDigits: 3 }).format(1 / probability);
  }

  /** A span in its two largest units, `3d 4h` or `5m 3s`; one unit from 30 days on, `2.4 years` from one year on. */
  duration(seconds: number | null): string {
    if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return UNKNOWN;
    if (seconds > 0 && seconds < 1) return `< ${this.age(1)}`;
    const whole = Math.floor(seconds);
    const index = SPAN_UNITS.findIndex((unit) => whole >= unit.seconds);
    const large = SPAN_UNITS[index];
    const small = SPAN_UNITS[index + 1];
    if (!large || !small || whole >= SINGLE_UNIT_FROM_SECONDS) return this.age(whole);
    const rest = Math.floor((whole % large.seconds) / small.seconds);
    if (rest === 0) return this.age(whole);
    return `${this.unit(Math.floor(whole / large.seconds), large.name, 'narrow')} ${this.unit(rest, small.name, 'narrow')}`;
  }

  /** A span in its largest unit alone: `12 min`. What lies in the future counts as now. */
  age(seconds: number | null): string {
    if (seconds === null || !Number.isFinite(seconds)) return UNKNOWN;
    const whole = Math.max(0, Math.floor(seconds));
    if (whole >= YEAR_SECONDS) return this.years(whole / YEAR_SECONDS);
    const unit = SPAN_UNITS.find((candidate) => whole >= candidate.seconds) ?? SECOND;
    return this.unit(Math.floor(whole / unit.seconds), unit.name, 'short');
  }

  /** Clock and day of a moment: `21 Nov, 14:05`. */
  moment(unixSeconds: number): string {
    return new Intl.DateTimeFormat(this.locale, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(
      new Date(unixSeconds * 1000),
    );
  }

  /** `12.3 ms` or `1.2 s`. */
  latency(seconds: number | null): string {
    if (seconds === null || !Number.isFinite(seconds)) return UNKNOWN;
    if (seconds >= 1) return `${this.threeDigits(seconds)} s`;
    return `${this.threeDigits(seconds * 1000)} ms`;
  }

  private threeDigits(value: number): string {
    const magnitude = Math.abs(value);
    // Not maximumSignificantDigits: it would turn 999.6 into 1,000 here, and 1234 into 1,230.
    const places = magnitude >= 99.95 || magnitude === 0 ? 0 : magnitude >= 9.995 ? 1 : magnitude >= 1 ? 2 : undefined;
    if (places === undefined) return numberFormat(this.locale, { maximumSignificantDigits: 3, useGrouping: false }).format(value);
    return numberFormat(this.locale, { minimumFractionDigits: places, maximumFractionDigits: places, useGrouping: false }).format(value);
  }

  private unit(value: number, unit: string, unitDisplay: 'narrow' | 'short'): string {
    return numberFormat(this.locale, { style: 'unit', unit, unitDisplay, maximumFractionDigits: 0 }).format(value);
  }

  private years(years: number): string {
    const compact = years >= 10_000;
    return numberFormat(this.locale, {
      style: 'unit',
      unit: 'year',
      unitDisplay: 'long',
      ...(compact ? { notation: 'compact', compactDisplay: 'long', maximumSignificantDigits: 3 } : { maximumFractionDigits: years < 100 ? 1 : 0 }),
    }).format(years);
  }
}
