/** A CRIU at the other end of {@link Host.exchangePacket}: it keeps the requests, and does to the machine's processes what it is asked. */
import { MessageReader, MessageWriter } from '../../src/criu/protobuf.ts';
import { REQUEST } from '../../src/criu/rpc.ts';
import type { FakeHost, FakeMachine } from './fake-host.ts';

export class FakeCriu {
  /** Requests and answers to notifications, in their bytes. */
  readonly requests: string[] = [];
  /** What it notifies of. */
  scripts = ['setup-namespaces', 'post-restore', 'post-resume'];
  /** Fails at the end. */
  fails = false;
  /** Dies at this notification, while a helper keeps the socket: nothing comes any more. */
  diesAt = '';
  features = true;
  /** The major number. */
  version = 4;
  /** The process dies at this notification, and CRIU waits for it without a word. */
  losesAt = '';
  private readonly machine: FakeMachine;
  private readonly due: (() => string | undefined)[] = [];

  constructor(machine: FakeMachine) {
    this.machine = machine;
  }

  /** Its answer to a packet, if there is one yet. */
  exchange(bytes: string, host: FakeHost): string | undefined {
    if (bytes !== '') {
      const read = new MessageReader(bytes);
      this.requests.push(bytes);
      const type = read.number(1) ?? 0;
      if (type === REQUEST.notify) {
        if (read.boolean(3) !== true) this.due.splice(0, this.due.length, () => answer(REQUEST.restore, false));
      } else if (type === REQUEST.version) this.due.push(() => answer(type, true, (out) => out.message(10, number(1, this.version))));
      else if (type === REQUEST.featureCheck) this.due.push(() => answer(type, true, (out) => out.message(8, features(this.features))));
      else if (type === REQUEST.restore) this.restore(host);
      else this.dump(type, read.message(2));
    }
    return this.due.shift()?.();
  }

  private restore(host: FakeHost): void {
    const criu = this.machine.processes.find(({ phase, parent }) => phase === 'ready' && parent === host);
    if (criu === undefined) throw new Error('no CRIU was started');
    const { cgroups } = criu;
    const process = this.machine.spawn({ cgroups, plan: [], socket: '', parent: host });
    for (const script of this.scripts) {
      this.due.push(() => {
        if (script === this.losesAt) {
          this.machine.die(process, { code: 137, signal: 9 });
          this.due.length = 0;
          return undefined;
        }
        if (script !== this.diesAt) return notification(script, process.pid);
        this.machine.die(criu, { code: 137, signal: 9 });
        this.due.length = 0;
        return undefined;
      });
    }
    this.due.push(() => {
      if (this.fails) {
        this.machine.die(process, { code: 137, signal: 9 });
        return answer(REQUEST.restore, false);
      }
      process.phase = 'running';
      return answer(REQUEST.restore, true, (out) => out.message(4, number(1, process.pid)));
    });
  }

  private dump(type: number, options: MessageReader | undefined): void {
    this.due.push(() => notification('pre-dump', 0));
    this.due.push(() => {
      const process = this.machine.processes.find(({ pid }) => pid === options?.number(2));
      if (!this.fails && type === REQUEST.dump && options?.boolean(3) !== true && process !== undefined)
        this.machine.die(process, { code: 137, signal: 9 });
      return answer(type, !this.fails);
    });
  }
}

function answer(type: number, success: boolean, more?: (out: MessageWriter) => void): string {
  const out = new MessageWriter();
  out.number(1, type);
  out.boolean(2, success);
  more?.(out);
  return out.bytes;
}

function notification(script: string, pid: number): string {
  return answer(REQUEST.notify, true, (out) => {
    const inner = new MessageWriter();
    inner.string(1, script);
    inner.number(2, pid);
    out.message(5, inner.bytes);
  });
}

function features(value: boolean): string {
  const out = new MessageWriter();
  out.boolean(1, value);
  out.boolean(2, value);
  return out.bytes;
}

function number(field: number, value: number): string {
  const out = new MessageWriter();
  out.number(field, value);
  return out.bytes;
}
