/** How lists are printed for people. */

/** Columns at least 12 wide, with at least 3 blanks between them: what scripts that cut runc's table expect. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(12, ...rows.map((row) => (row[column] ?? '').length + 3)));
  return rows.map((row) => `${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('')}\n`).join('');
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;
const STEP = 1000;
const DIGITS = 3;

/** Bytes in three digits and a unit: `75.2 MB`. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= STEP - 0.5 && unit < UNITS.length - 1) {
    value /= STEP;
    unit++;
  }
  const text = unit === 0 ? String(value) : value.toPrecision(DIGITS);
  return `${text} ${UNITS[unit]}`;
}

/** A moment of RFC 3339 to the second, as lists show it: `2026-11-21 19:03:24`. */
export function momentText(moment: string): string {
  return /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}/.test(moment)
    ? moment.slice(0, 'yyyy-mm-ddThh:mm:ss'.length).replace('T', ' ')
    : '-';
}
