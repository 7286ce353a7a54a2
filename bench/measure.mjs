// Rounds in which everybody has a turn.
import { interruption } from './workplace.mjs';

/** The same things in an order of chance. */
const shuffled = (things) => {
  const order = [...things];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
};

/** The samples of each row, by its key; undefined if a signal has ended the measurement. */
export const measure = async (units, { rounds, warmUp }) => {
  const samples = new Map(units.flatMap(({ rows }) => rows.map(({ key }) => [key, []])));
  for (let round = -warmUp; round < rounds; round++) {
    // What a row's predecessor leaves to be taken down weighs on it: nobody always follows the same one.
    for (const { rows, every = 1, turns = 1, anyOrder = false } of shuffled(units)) {
      if (round % every !== 0) continue;
      for (let turn = 0; turn < turns; turn++) {
        for (const { key, run } of anyOrder ? shuffled(rows) : rows) {
          if (interruption()) return undefined;
          const sample = await run();
          if (round >= 0) samples.get(key).push(sample);
        }
      }
    }
  }
  return samples;
};
