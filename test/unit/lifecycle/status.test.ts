import test from 'ava';
import { permit, refusal, STATUSES, type Status, VERBS, type Verb } from '../../../src/lifecycle/status.ts';

/** The specification's table, written down a second time. */
const PERMITTED: Readonly<Record<Verb, readonly Status[]>> = {
  start: ['created'],
  kill: ['created', 'running', 'paused'],
  'kill-all': ['created', 'running', 'paused', 'stopped'],
  pause: ['created', 'running'],
  resume: ['paused'],
  exec: ['created', 'running'],
  'exec-paused': ['created', 'running', 'paused'],
  update: ['created', 'running', 'paused'],
  events: ['created', 'running', 'paused'],
  checkpoint: ['running', 'paused'],
  delete: ['stopped'],
  'delete-force': ['creating', 'created', 'running', 'paused', 'stopped'],
};

for (const verb of VERBS) {
  for (const status of STATUSES) {
    const permitted = PERMITTED[verb].includes(status);
    test(`${verb} of a ${status} container is ${permitted ? 'permitted' : 'refused'}`, (t) => {
      t.is(refusal(verb, status, 'c1') === undefined, permitted);
      if (permitted) t.notThrows(() => permit(verb, status, 'c1'));
      else t.is(t.throws(() => permit(verb, status, 'c1'), { name: 'StrataError' })?.message, refusal(verb, status, 'c1') ?? '');
    });
  }
}

test('refusals hold the words that engines look for', (t) => {
  t.regex(refusal('kill', 'stopped', 'c1') ?? '', /container not running/);
  t.regex(refusal('pause', 'stopped', 'c1') ?? '', /container not running/);
  t.regex(refusal('exec', 'stopped', 'c1') ?? '', /container not running/);
  t.is(refusal('start', 'running', 'c1'), 'cannot start an already running container');
  t.is(refusal('start', 'stopped', 'c1'), 'cannot start a container that has stopped');
  t.is(refusal('delete', 'running', 'c1'), 'cannot delete container c1 that is not stopped: running');
  t.is(refusal('delete', 'paused', '$&'), 'cannot delete container $& that is not stopped: paused');
});
