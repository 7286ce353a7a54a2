// Numbers become tables, and a file.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
export const median = (values) =>
  quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );

/** What the samples of one row come to. */
export const summary = (samples) => {
  const ms = samples.map((sample) => sample.ms).sort((a, b) => a - b);
  const rss = Math.max(...samples.map((sample) => sample.rss ?? 0));
  const parts = Object.keys(samples[0].parts ?? {});
  return {
    median: quantile(ms, 0.5),
    min: ms[0],
    p95: quantile(ms, 0.95),
    samples: ms.length,
    ...(rss > 0 ? { peakRssKiB: rss, faults: median(samples.map((sample) => sample.faults)) } : {}),
    ...(parts.length > 0 ? { parts: Object.fromEntries(parts.map((part) => [part, median(samples.map((sample) => sample.parts[part]))])) } : {}),
  };
};

export const print = (rows) => {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join('  ')
        .trimEnd(),
    );
  }
};

/** One table with a part for each of `groups`; `rows` are {key, name, group}. Each of `others` is a column of ratios, see `against` of a group. */
export const printTable = (rows, results, groups, others) => {
  const table = [['', 'median ms', 'min', 'p95', ...others.map((other) => `× ${other}`), 'peak RSS MB']];
  for (const group of new Set(rows.map((row) => row.group))) {
    const { title, against } = groups[group];
    table.push(
      table[0].map(() => ''),
      [`${title}`, ...table[0].slice(1).map(() => '')],
    );
    for (const { key, name } of rows.filter((row) => row.group === group)) {
      const { median, min, p95, peakRssKiB, parts = {} } = results[key];
      const times = others.map((other) => {
        const reference = results[against[other]];
        return reference ? (median / reference.median).toFixed(2) : '–';
      });
      table.push([`  ${name}`, median.toFixed(2), min.toFixed(2), p95.toFixed(2), ...times, peakRssKiB ? (peakRssKiB / 1024).toFixed(1) : '–']);
      for (const [part, value] of Object.entries(parts)) table.push([`    ${part}`, value.toFixed(2), ...table[0].slice(2).map(() => '')]);
    }
  }
  print(table);
};

export const printTargets = (targets) =>
  print([
    ['target', 'measured', 'limit', '', 'of minima'],
    ...targets.map(({ what, measured, ofMinima, limit, unit, reached }) => [
      what,
      `${measured.toFixed(2)} ${unit}`,
      `≤ ${limit.toFixed(2)} ${unit}`,
      reached ? 'ok' : 'MISSED',
      ofMinima.toFixed(2),
    ]),
  ]);

/** Keep what was measured, as JSON in bench/results. */
export const save = (name, measured) => {
  const directory = join(import.meta.dirname, 'results');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, name);
  writeFileSync(file, `${JSON.stringify(measured, null, 1)}\n`);
  console.log(`\nwritten to ${file}`);
};
