/** Moments and durations as text. */

const SECONDS_A_DAY = 86_400n;
const NANOSECONDS = 1_000_000_000n;

const MOMENT = /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9})\d*)?)?)?([Zz]|[+-]\d{2}:\d{2})?$/;

/** Nanoseconds since 1970 of a moment in the form of RFC 3339, of which seconds, time and zone (UTC then) may be left out; undefined if it is none. */
export function parseMoment(text: string): bigint | undefined {
  const parts = MOMENT.exec(text);
  if (parts === null) return undefined;
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map((index) => Number(parts[index] ?? 0)) as [number, ...number[]];
  if (!(inRange(month, 1, 12) && inRange(day, 1, 31) && inRange(hour, 0, 23) && inRange(minute, 0, 59) && inRange(second, 0, 60))) return undefined;
  const seconds =
    BigInt(daysSince1970(year, month as number, day as number)) * SECONDS_A_DAY + BigInt((hour as number) * 3600 + (minute as number) * 60);
  const fraction = BigInt((parts[7] ?? '').padEnd(9, '0'));
  return (seconds + BigInt(second as number) - zoneSeconds(parts[8])) * NANOSECONDS + fraction;
}

/** The moment in UTC, in the form of RFC 3339 with nanoseconds; such texts are ordered as the moments are. Not before 1970. */
export function momentOf(nanoseconds: bigint): string {
  const seconds = nanoseconds / NANOSECONDS;
  const days = Number(seconds / SECONDS_A_DAY);
  const rest = Number(seconds % SECONDS_A_DAY);
  const { year, month, day } = dateOf(days);
  const time = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60].map((part) => digits(part, 2)).join(':');
  return `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}T${time}.${String(nanoseconds % NANOSECONDS).padStart(9, '0')}Z`;
}

const UNITS: Readonly<Record<string, bigint>> = {
  ms: 1_000_000n,
  s: NANOSECONDS,
  m: 60n * NANOSECONDS,
  h: 3600n * NANOSECONDS,
  d: SECONDS_A_DAY * NANOSECONDS,
};

/** Nanoseconds of a duration such as `90s`, `1h30m`, `2d`; undefined if it is none. */
export function parseDuration(text: string): bigint | undefined {
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) return undefined;
  let sum = 0n;
  for (const [, count = '', unit = ''] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) sum += BigInt(count) * (UNITS[unit] ?? 0n);
  return sum;
}

function inRange(value: number | undefined, least: number, most: number): boolean {
  return value !== undefined && value >= least && value <= most;
}

function zoneSeconds(zone = 'Z'): bigint {
  if (zone === 'Z' || zone === 'z') return 0n;
  const seconds = BigInt(Number(zone.slice(1, 3)) * 3600 + Number(zone.slice(4)) * 60);
  return zone.startsWith('-') ? -seconds : seconds;
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0');
}

/** Years begin in March here, so that the leap day comes last; an era is 400 years. */
const DAYS_IN_ERA = 146_097;
const DAYS_TO_1970 = 719_468;

function daysSince1970(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return era * DAYS_IN_ERA + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - DAYS_TO_1970;
}

function dateOf(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const sinceMarch = days + DAYS_TO_1970;
  const era = Math.floor(sinceMarch / DAYS_IN_ERA);
  const dayOfEra = sinceMarch - era * DAYS_IN_ERA;
  const leap = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / (DAYS_IN_ERA - 1));
  const yearOfEra = Math.floor((dayOfEra - leap) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  return { year: era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day: dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1 };
}
