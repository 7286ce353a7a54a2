// Where the time of a row goes: every process that a command starts, program after program, and every system call of each, from the kernel's
// tracepoints. A traced call costs well below a microsecond more; strace would stop the process twice for each and measure itself.
//
//   split.mjs [ROW] [--runs N] [--calls]
//
// ROW is a row of the measurement by its key, GROUP.WHO: run.strata (if none is given), run.floor, state.crun, seccomp.strata, layers.500, …
// Prints the median of each phase over all runs, and the calls of the run in the middle; with --calls each of them, in order. A phase is a process
// from its start ("copy" of its parent) to its execve, or from there to the next one or to its end; strata-init is a "program in memory".
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { groups, unitsOf } from './contenders.mjs';
import { median, print } from './report.mjs';
import { endTimer, timerPid } from './timer.mjs';
import { cleanUp, endIfInterrupted, id, interruption } from './workplace.mjs';

delete process.env.NODE_EXTRA_CA_CERTS;
delete process.env.NODE_OPTIONS;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '30' }, calls: { type: 'boolean', default: false } },
});
const wanted = positionals[0] ?? 'run.strata';
const runs = Number(options.runs);

// --- the kernel's side ----------------------------------------------------------------------------------------------------------------------------

/** The tracing file system, and what undoes its mount if it had to be mounted. */
const tracefs = () => {
  const usual = '/sys/kernel/tracing';
  if (existsSync(join(usual, 'trace'))) return { path: usual, leave: () => {} };
  const path = mkdtempSync(join(tmpdir(), 'strata-split.'));
  const leave = () => rmdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tracefs', 'tracefs', path], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  } catch (error) {
    leave();
    throw new Error(`this machine does not let itself be traced: ${error.stderr?.trim() || error.message}`);
  }
  return {
    path,
    leave: () => {
      execFileSync('umount', [path]);
      leave();
    },
  };
};

/** A trace buffer of its own, which follows the timer and all that it starts. */
const tracer = () => {
  const { path, leave } = tracefs();
  const instance = join(path, 'instances', id);
  const set = (file, value) => writeFileSync(join(instance, file), value);
  const events = [
    'events/syscalls/enable',
    ...['fork', 'exec'].map((event) => `events/sched/sched_process_${event}/enable`),
    'events/sched/sched_switch/enable',
  ];
  const end = () => {
    if (existsSync(instance)) rmdirSync(instance);
    leave();
  };
  try {
    mkdirSync(instance);
    set('buffer_size_kb', '16384');
    set('trace_clock', 'mono');
    set('options/event-fork', '1');
    set('options/record-tgid', '1');
    set('set_event_pid', `${timerPid}`);
    for (const event of events) {
      if (!existsSync(join(instance, event))) throw new Error(`this kernel has no tracepoints ${event}`);
      set(event, '1');
    }
  } catch (error) {
    end();
    throw error;
  }
  const record = async (work) => {
    set('trace', '');
    set('tracing_on', '1');
    await work();
    set('tracing_on', '0');
    for (const cpu of readdirSync(join(instance, 'per_cpu'))) {
      const lost = readFileSync(join(instance, 'per_cpu', cpu, 'stats'), 'utf8').match(/^overrun: (\d+)/m)?.[1];
      if (lost !== '0') throw new Error(`the trace buffer is too small: ${lost} events lost`);
    }
    return readFileSync(join(instance, 'trace'), 'utf8');
  };
  return { record, end };
};

// --- from events to phases -------------------------------------------------------------------------------------------------------------------------

// TASK-PID (PROCESS) [CPU] FLAGS SECONDS: EVENT; a thread has a PID of its own and the PROCESS of its program.
const LINE = /^.+-(\d+)\s+\(\s*(\S+)\)\s+\[\d+\]\s+\S+\s+([\d.]+): (.*)$/;

/**
 * What the trace of one run tells: phases, each of which is a process from its start or its last execve to the next one or to its end. Times are
 * in microseconds from the start of the first process. `off` is the time without a processor: waiting, or waiting one's turn.
 */
const phasesOf = (trace) => {
  const processes = new Map();
  const phases = [];
  let zero;

  const begin = (pid, name, at, call) => {
    const phase = { pid, name, from: at, to: at, off: 0, calls: [] };
    phases.push(phase);
    processes.set(pid, { phase, call: call && { name: call, arguments: '', from: at, off: 0 }, away: undefined });
  };
  const endCall = (process, at) => {
    if (process.call) process.phase.calls.push({ ...process.call, to: at });
    process.call = undefined;
  };
  const end = (pid, at) => {
    const process = processes.get(pid);
    endCall(process, at);
    process.phase.to = at;
    processes.delete(pid);
  };
  const back = (process, at) => {
    if (process.away === undefined) return;
    process.phase.off += at - process.away;
    if (process.call) process.call.off += at - process.away;
    process.away = undefined;
  };

  for (const line of trace.split('\n')) {
    const match = LINE.exec(line);
    if (!match) continue;
    const [, task, group, seconds, event] = match;
    const pid = Number(task);
    const time = Number(seconds) * 1e6;
    const at = time - (zero ?? time);
    const process = processes.get(pid);
    if (process && group !== '-------' && group !== task) process.phase.thread = true;

    let found = /^sched_process_fork: .*child_comm=(.*) child_pid=(\d+)/.exec(event);
    if (found) {
      if (!process && pid !== timerPid) continue;
      zero ??= time;
      const child = Number(found[2]);
      begin(child, found[1], at, process?.call?.name ?? 'clone');
      processes.get(child).phase.copy = true;
      processes.get(child).away = at;
      continue;
    }
    found = /^sched_switch: .*prev_pid=(\d+) .*prev_state=(\S+) ==> .*next_pid=(\d+)/.exec(event);
    if (found) {
      const [previous, state, next] = [Number(found[1]), found[2], Number(found[3])];
      if (processes.has(next)) back(processes.get(next), at);
      if (!processes.has(previous)) continue;
      if (/^[ZX]/.test(state)) end(previous, at);
      else processes.get(previous).away = at;
      continue;
    }
    if (!process) continue;
    found = /^sched_process_exec: filename=(.*) pid=/.exec(event);
    if (found) {
      const call = process.call?.name ?? 'execve';
      end(pid, at);
      begin(pid, found[1].startsWith('/dev/fd/') ? 'program in memory' : basename(found[1]), at, call);
      continue;
    }
    found = /^sys_(\w+) -> /.exec(event);
    if (found) {
      endCall(process, at);
      continue;
    }
    found = /^sys_(\w+)\((.*)\)$/.exec(event);
    if (found) process.call = { name: found[1], arguments: found[2], from: at, off: 0 };
  }
  return phases;
};

// --- the account -----------------------------------------------------------------------------------------------------------------------------------

const sum = (values) => values.reduce((a, b) => a + b, 0);
const busy = ({ from, to, off }) => to - from - off;

/** Phases by name: what began as a copy of another says so, and a name that comes again has its number. */
const named = (phases) => {
  const seen = new Map();
  return phases.map((phase) => {
    const name = phase.thread ? `${phase.name}, thread` : phase.copy ? `${phase.name}, copy` : phase.name;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return { ...phase, name: count > 1 ? `${name} (${count})` : name };
  });
};

const ms = (microseconds) => (microseconds / 1000).toFixed(2);
const total = (phases) => Math.max(...phases.map((phase) => phase.to));

const printPhases = (all) => {
  const names = [...new Set(all.flatMap((phases) => phases.map((phase) => phase.name)))];
  const rows = names
    .map((name) => all.flatMap((phases) => phases.filter((phase) => phase.name === name)))
    .filter((list) => list.length * 2 > all.length)
    .map((list) => {
      const of = (value) => median(list.map(value));
      const inCalls = (phase) => sum(phase.calls.map(busy));
      return {
        from: of((phase) => phase.from),
        cells: [
          list[0].name,
          ms(of((phase) => phase.from)),
          ms(of((phase) => phase.to)),
          ms(of((phase) => phase.off)),
          ms(of(inCalls)),
          ms(of((phase) => busy(phase) - inCalls(phase))),
          `${of((phase) => phase.calls.length)}`,
        ],
      };
    })
    .sort((a, b) => a.from - b.from)
    .map((row) => row.cells);
  print([['ms', 'from', 'to', 'waits', 'in calls', 'outside', 'calls'], ...rows]);
};

const printSums = (phases) => {
  const most = 15;
  for (const { name, calls } of phases) {
    const kinds = Map.groupBy(calls, (call) => call.name);
    const rows = [...kinds]
      .map(([kind, list]) => ({
        kind,
        times: list.length,
        busy: sum(list.map(busy)),
        off: sum(list.map((call) => call.off)),
        longest: Math.max(...list.map(busy)),
      }))
      .sort((a, b) => b.busy - a.busy);
    const rest = rows.slice(most);
    if (rest.length > 0)
      rows.splice(most, rest.length, {
        kind: `${rest.length} others`,
        times: sum(rest.map((row) => row.times)),
        busy: sum(rest.map((row) => row.busy)),
        off: sum(rest.map((row) => row.off)),
        longest: Math.max(...rest.map((row) => row.longest)),
      });
    console.log('');
    print([
      [`${name}, µs`, 'times', 'works', 'waits', 'longest'],
      ...rows.map((row) => [`  ${row.kind}`, ...[row.times, row.busy, row.off, row.longest].map((n) => n.toFixed(0))]),
    ]);
  }
};

const printCalls = (phases) => {
  const calls = phases.flatMap((phase) => phase.calls.map((call) => ({ ...call, phase: phase.name }))).sort((a, b) => a.from - b.from);
  console.log('');
  print([
    ['phase', 'at µs', 'works', 'waits', '', 'call'],
    ...calls.map((call) => [call.phase, call.from.toFixed(0), busy(call).toFixed(0), call.off.toFixed(0), '', `${call.name}(${call.arguments})`]),
  ]);
};

const report = (row, untraced, all) => {
  const middle = [...all].sort((a, b) => total(a) - total(b))[Math.floor(all.length / 2)];
  console.log(
    `${row.name}: ${ms(total(middle))} ms traced, ${median(untraced.map((sample) => sample.ms)).toFixed(2)} ms untraced, ${median(untraced.map((sample) => sample.faults))} page faults, medians of ${runs} runs\n`,
  );
  printPhases(all);
  printSums(middle);
  if (options.calls) printCalls(middle);
};

// --- the run ---------------------------------------------------------------------------------------------------------------------------------------

let trace;
try {
  const group = wanted.split('.')[0];
  const units = groups[group] ? await unitsOf([group]) : [];
  const row = units.flatMap((unit) => unit.rows).find(({ key }) => key === wanted);
  if (!row)
    throw new Error(
      `no row ${wanted}; there are ${units.length > 0 ? units.flatMap((unit) => unit.rows.map(({ key }) => key)).join(', ') : `the groups ${Object.keys(groups).join(', ')}`}`,
    );
  const untraced = [];
  const all = [];
  trace = tracer();
  // By turns, as the machine's speed drifts; the first few find cold caches.
  for (let i = -3; i < runs && !interruption(); i++) {
    const sample = await row.run();
    const phases = named(phasesOf(await trace.record(row.run)));
    if (i < 0) continue;
    untraced.push(sample);
    all.push(phases);
  }
  if (!interruption()) report(row, untraced, all);
} catch (error) {
  console.error(`split: ${error.message}`);
  process.exitCode = 1;
} finally {
  trace?.end();
  endTimer();
  cleanUp();
}
endIfInterrupted();
