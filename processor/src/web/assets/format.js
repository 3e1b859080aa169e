// Numbers as people read them. Every function takes a number and gives text; null and undefined give a dash.

const MISSING = '–';
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const seconds = { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false };
const minutes = { hour: '2-digit', minute: '2-digit', hour12: false };

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

export function count(value) {
  return missing(value) ? MISSING : whole.format(value);
}

/** Short: 7, 940, 4,127, 12.3 k, 4.1 M. */
export function compact(value) {
  if (missing(value)) return MISSING;
  const size = Math.abs(value);
  for (const [unit, factor, from] of [['G', 1e9, 0.9995e9], ['M', 1e6, 0.9995e6], ['k', 1e3, 9.995e3]]) {
    if (size >= from) return `${digits(value / factor)} ${unit}`;
  }
  return size >= 1000 || Number.isInteger(value) ? whole.format(value) : digits(value);
}

export function rate(value) {
  return missing(value) ? MISSING : value >= 1000 ? compact(value) : digits(value);
}

export function percent(ratio) {
  if (missing(ratio)) return MISSING;
  const value = ratio * 100;
  if (value === 0) return '0 %';
  if (value < 0.01) return '<0.01 %';
  return `${value < 1 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0)} %`;
}

export function millis(value) {
  if (missing(value)) return MISSING;
  if (value < 1000) return `${digits(value)} ms`;
  return value < 10000 ? `${(value / 1000).toFixed(2)} s` : `${digits(value / 1000)} s`;
}

/** A span of milliseconds, in the unit people would say it in. */
export function span(ms) {
  if (missing(ms)) return MISSING;
  const value = Math.max(0, ms) / 1000;
  if (value < 100) return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} s`;
  if (value < 6000) return `${(value / 60).toFixed(0)} min`;
  return value < 172800 ? `${(value / 3600).toFixed(1)} h` : `${(value / 86400).toFixed(0)} d`;
}

export function bytes(value) {
  if (missing(value)) return MISSING;
  for (const [unit, factor] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]]) {
    if (value >= factor) return `${digits(value / factor)} ${unit}`;
  }
  return `${value} B`;
}

/** An amount in its currency, by its code; one that names none stands alone. */
export function money(cents, currency) {
  if (missing(cents)) return MISSING;
  return currency === 'none' ? compactMoney(cents / 100) : `${compactMoney(cents / 100)} ${currency}`;
}

export function clock(ms) {
  return missing(ms) ? MISSING : new Date(ms).toLocaleTimeString('en', seconds);
}

/** A moment: today's by its time alone. */
export function moment(ms, now) {
  if (missing(ms)) return MISSING;
  const day = (at) => new Date(at).toDateString();
  return day(ms) === day(now) ? clock(ms) : new Date(ms).toLocaleString('en', { month: 'short', day: 'numeric', ...seconds });
}

/** Text of the processor, whose times are UTC as in RFC 3339, with the times as they are here. */
export function localTimes(text, now) {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (time) => moment(Date.parse(time), now));
}

export function minute(ms) {
  return new Date(ms).toLocaleTimeString('en', minutes);
}

function compactMoney(value) {
  return Math.abs(value) >= 100000 ? compact(value) : whole.format(value);
}

function digits(value) {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 10) return value.toFixed(size < 1 ? 2 : 1);
  return size < 100 ? value.toFixed(1) : value.toFixed(0);
}
