// Formatting of numbers and times.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export const number = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value).replace("-", "−"));
export const compact = (value) => (value === null || value === undefined ? "–" : COMPACT.format(value));

/** 0.4213 → "42%". Small values keep two digits: 0.00423 → "0.42%". */
export function percent(share) {
  const value = share * 100;
  if (value >= 9.95) return `${Math.round(value)}%`;
  if (value >= 0.995) return `${value.toFixed(1)}%`;
  return value >= 0.005 ? `${value.toFixed(2)}%` : "<0.01%";
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const step = count < 1000 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), UNITS.length - 1);
  const value = count / 1000 ** step;
  return `${value >= 100 || step === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[step]}`;
}

/** Seconds → "42 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return seconds < 10 ? `${Number(seconds.toFixed(1))} s` : `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
export const date = (unix) => (unix ? DATE.format(new Date(unix * 1000)) : "–");

/** Unix seconds → "just now", "5 min ago", "3 h ago", else the date. */
export function ago(unix) {
  const seconds = Date.now() / 1000 - unix;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  return seconds < 86400 ? `${Math.round(seconds / 3600)} h ago` : date(unix);
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
