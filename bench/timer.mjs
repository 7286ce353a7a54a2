// The commands' side of the measurement: timer.c, which starts and times them.
import { spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { inMemory } from './workplace.mjs';

const errors = inMemory('stderr');
// A group of its own: Ctrl-C ends the measurement between two samples, not a runtime in the middle of its work.
const timer = spawn(join(import.meta.dirname, '../build/bench/timer'), { stdio: ['pipe', 'pipe', openSync(errors, 'a')], detached: true });
const answers = createInterface({ input: timer.stdout })[Symbol.asyncIterator]();

export const timerPid = timer.pid;

/** Run `copies` of the commands, never more than `atOnce` together, one step after another; see timer.c. */
export const time = async (steps, { copies = 1, atOnce = copies } = {}) => {
  timer.stdin.write(`${[copies, atOnce, ...steps.flatMap((words, i) => (i === 0 ? words : [';', ...words]))].join('\t')}\n`);
  const { value } = await answers.next();
  if (value === undefined) throw new Error('the timer has ended');
  const sample = JSON.parse(value);
  if (sample.failed > 0)
    throw new Error(`${sample.failed} failed: ${steps.map((words) => words.join(' ')).join('; ')}\n${readFileSync(errors, 'utf8').slice(-2000)}`);
  return sample;
};

export const endTimer = () => timer.stdin.end();
