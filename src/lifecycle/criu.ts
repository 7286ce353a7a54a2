/**
 * CRIU at work for us: `criu swrk`, which gets its request through a socket that it inherits, tells where it is, and ends. strata-init executes it,
 * by a plan: so it can be born into a container's cgroups, and what is mounted for it is in a mount namespace that goes with it.
 */
import { StrataError } from '../base/error.ts';
import { decodeResponse, encodeRequest, type Features, REQUEST, type Request, type Response } from '../criu/rpc.ts';
import type { Descriptor, ExitStatus, Host, Launched, LaunchFailure, Packet } from '../host/host.ts';
import { LaunchError } from '../host/host.ts';
import { encode } from '../plan/encode.ts';
import type { Operation } from '../plan/op.ts';
import { launchError, stepAt } from './failure.ts';
import { ERRNO, hasErrno } from './fault.ts';
import { environmentOf } from './hooks.ts';

/** Where CRIU is looked for besides the directories of PATH. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** The number that the socket has in CRIU; what else it is given follows. */
const SOCKET = 3;
export const FIRST_GIVEN = 4;
/** Milliseconds between two looks at whether the caller has given up. */
const TICK = 200;
/** Milliseconds for which it may say nothing after the process that it restores has ended. */
const SILENCE = 3000;
/** Milliseconds that CRIU is given to end when its work is done. */
const PATIENCE = 10_000;
/** Of the log's end. */
const LINES = 2000;
const BYTES = 1024 * 1024;
/** CRIU's default configuration file for runc's containers is runc's own; ours is this. */
export const CONFIG_FILE = '/etc/criu/strata.conf';

/** The version since which it obeys all that it is told here. */
const OLDEST = 31_600;
/** The end of the conversation. */
const NO_MORE: Packet = { bytes: '', descriptor: -1 };

export interface CriuStart {
  /** Up to `clone`. */
  readonly outside: readonly Operation[];
  /** What is done before CRIU is executed. */
  readonly inside: readonly Operation[];
  readonly stdio: readonly [Descriptor, Descriptor, Descriptor];
  /** Descriptors that CRIU has under the numbers from {@link FIRST_GIVEN} on. */
  readonly given: readonly Descriptor[];
  /** Told of the process before it does anything else. */
  readonly launched?: (launched: Launched) => void;
  /** Told how the plan has failed. */
  readonly failed?: (failure: LaunchFailure) => void;
  /** See `CreateOptions.checkpoint`. */
  readonly pause?: (() => void) | undefined;
}

/** Is told what CRIU has come to, and the descriptor that came with it, or -1: its own to close. CRIU waits until the promise is settled. */
export type Notified = (script: string, pid: number, descriptor: Descriptor) => Promise<void>;

/** Starts CRIU. @throws StrataError `criu` if there is none; then nothing of it is left. */
export async function startCriu(host: Host, start: CriuStart): Promise<Criu> {
  const operations = [...start.outside, ...start.inside, ...program(host)];
  const [ours, theirs] = host.packetPair();
  let launched: Launched | undefined;
  try {
    launched = await host.launch(encode({ operations }), {
      stdio: start.stdio,
      preserve: 0,
      passed: [theirs, ...start.given],
      console: -1,
      start: -1,
    });
    start.launched?.(launched);
    await host.awaitExecution(launched);
    return new Criu(host, launched, ours, start.pause);
  } catch (error) {
    if (launched !== undefined) await host.abandon(launched);
    host.close(ours);
    if (error instanceof LaunchError) start.failed?.(error.failure);
    throw explained(error, operations);
  } finally {
    host.close(theirs);
  }
}

/** Directories in which CRIU is looked for, those of PATH first. */
function searchPath(host: Host): string {
  const own = (host.environment('PATH') ?? '').split(':').filter((directory) => directory.startsWith('/'));
  return [...own, SYSTEM_PATH].join(':');
}

/** Is there a CRIU? */
export function hasCriu(host: Host): boolean {
  return searchPath(host)
    .split(':')
    .some((directory) => host.stat(`${directory}/criu`) !== undefined);
}

function program(host: Host): Operation[] {
  const search = searchPath(host);
  // CRIU runs ip, iptables and tar.
  const env = [...environmentOf(host).filter((entry) => !entry.startsWith('PATH=')), `PATH=${search}`];
  return [
    { op: 'executable', pointer: '', file: 'criu', search },
    { op: 'exec', pointer: '', args: ['criu', 'swrk', `${SOCKET}`], env },
  ];
}

function explained(error: unknown, operations: readonly Operation[]): unknown {
  if (!(error instanceof LaunchError)) return error;
  const { failure } = error;
  const step = stepAt({ operations }, failure.operation);
  if (step?.op === 'executable' && failure.errno === ERRNO.ENOENT) {
    return new StrataError({ code: 'criu', reason: 'CRIU is not installed: criu is in no directory of PATH', hint: 'the package is named criu' });
  }
  return launchError(failure, step);
}

/** A CRIU that waits for a request. */
export class Criu {
  readonly pidfd: Descriptor;
  private readonly host: Host;
  private readonly launched: Launched;
  private readonly socket: Descriptor;
  private readonly pause: (() => void) | undefined;
  /** It has nothing to do. */
  private idle = true;
  private status: ExitStatus | 'unknown' | undefined;
  private lostAt: number | undefined;
  /** Whether the process that it is at work on has ended. */
  isLost: (() => boolean) | undefined;
  /** Path of the log that it writes with what it is asked for next. */
  log: string | undefined;

  constructor(host: Host, launched: Launched, socket: Descriptor, pause: (() => void) | undefined) {
    this.host = host;
    this.launched = launched;
    this.pidfd = launched.pidfd;
    this.socket = socket;
    this.pause = pause;
  }

  /** An older one would pass over in silence what it does not know. @throws StrataError `config-unsupported` */
  async checkVersion(): Promise<void> {
    const { version = 0 } = await this.ask({ type: REQUEST.version, keepOpen: true });
    if (version >= OLDEST) return;
    const reason = `CRIU ${Math.floor(version / 10_000)}.${Math.floor(version / 100) % 100} is too old: 3.16 is needed`;
    throw new StrataError({ code: 'config-unsupported', reason });
  }

  /** Which of the features it has here. */
  async features(asked: Features): Promise<Features> {
    const { features, success } = await this.ask({ type: REQUEST.featureCheck, features: asked, keepOpen: true });
    return success && features !== undefined ? features : {};
  }

  /**
   * Sends a request and waits for its result; what CRIU notifies of meanwhile goes to `notified`. Should that fail, CRIU is told so and ends its
   * work, and the error is thrown then.
   */
  async ask(request: Request, notified: Notified = this.leave): Promise<Response> {
    let failure: { readonly error: unknown } | undefined;
    this.idle = request.keepOpen === true;
    for (let packet = encodeRequest(request); ; ) {
      const answer = await this.exchange(packet);
      packet = '';
      if (answer === undefined) {
        this.pause?.();
        continue;
      }
      if (answer.bytes === '') throw failure?.error ?? (await this.endedEarly());
      const response = decodeResponse(answer.bytes);
      if (response.notify === undefined) {
        if (failure !== undefined) throw failure.error;
        return response;
      }
      const { script, pid } = response.notify;
      try {
        if (failure === undefined) await notified(script, pid, answer.descriptor);
        else if (answer.descriptor !== -1) this.host.close(answer.descriptor);
      } catch (error) {
        failure = { error };
      }
      packet = encodeRequest({ type: REQUEST.notify, notifySuccess: failure === undefined });
    }
  }

  /**
   * Opens a directory for it. CRIU works in it, and mounts there, so it has to be seen through CRIU's own mount namespace.
   *
   * @param path absolute
   */
  openDirectory(path: string): Descriptor {
    return this.host.openFile(`/proc/${this.launched.pid}/root${this.host.realPath(path)}`);
  }

  /** The next packet; undefined if there is none yet. Its helpers have the socket too, so that their end is not to be waited for, but CRIU's own. */
  private async exchange(packet: string): Promise<Packet | undefined> {
    try {
      const answer = await this.host.exchangePacket(this.socket, packet, TICK);
      if (answer !== undefined) this.lostAt = undefined;
      else this.checkLost();
      if (answer !== undefined || !(await this.hasEnded())) return answer;
      return (await this.host.exchangePacket(this.socket, '', 0)) ?? NO_MORE;
    } catch (error) {
      if (hasErrno(error, ERRNO.EPIPE, ERRNO.ECONNRESET)) return NO_MORE;
      throw error;
    }
  }

  /** CRIU can wait for ever for a process that somebody has killed. */
  private checkLost(): void {
    if (this.isLost?.() !== true) return;
    this.lostAt ??= this.host.now();
    if (this.host.now() - this.lostAt < SILENCE) return;
    throw new StrataError({ code: 'criu', stage: 'restore', reason: "the container's process was ended while it was restored" });
  }

  private async hasEnded(): Promise<boolean> {
    this.status ??= await this.host.waitExit(this.pidfd, 0);
    return this.status !== undefined;
  }

  private async endedEarly(): Promise<StrataError> {
    this.status ??= await this.host.waitExit(this.pidfd, PATIENCE);
    const { status } = this;
    const how = status === undefined || status === 'unknown' ? '' : ` (${endingOf(status)})`;
    const last = this.log === undefined ? undefined : firstError(this.host, this.log);
    const reason = `CRIU has ended without a result${how}${last === undefined ? '' : `; it said: ${last}`}`;
    return new StrataError({ code: 'criu', reason, ...(this.log !== undefined && { hint: hintFor(reason, this.log) }) });
  }

  private readonly leave: Notified = async (_script, _pid, descriptor) => {
    if (descriptor !== -1) this.host.close(descriptor);
  };

  /** Lets it end, by force if need be. One that waits for a request would complain. */
  async end(): Promise<void> {
    if (this.idle) return this.kill();
    this.host.close(this.socket);
    this.status ??= await this.host.waitExit(this.pidfd, PATIENCE);
    await this.host.abandon(this.launched);
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    this.host.close(this.socket);
    await this.host.abandon(this.launched);
  }
}

function endingOf({ code, signal }: ExitStatus): string {
  return signal === undefined ? `exit status ${code}` : `signal ${signal}`;
}

/** Nobody else sends that signal to what is restored, but whoever deletes the container. */
function hintFor(reason: string, log: string): string {
  return /signal 9\b/.test(reason) ? `its log is ${log}; the memory limit of the container holds for its restore too` : `its log is ${log}`;
}

/** Why CRIU has failed: the first error in its log, from which others follow. The log is kept. */
export function criuError(host: Host, stage: 'checkpoint' | 'restore', log: string, response: Response): StrataError {
  const verb = stage === 'checkpoint' ? 'checkpointed' : 'restored';
  const line = firstError(host, log) ?? (response.message === '' ? 'it does not tell why' : response.message);
  return new StrataError({ code: 'criu', stage, reason: `the container cannot be ${verb}: CRIU: ${line}`, hint: hintFor(line, log) });
}

/** In the log an error begins with the time and the place in the source. */
const ERROR = /^\(\d+\.\d+\) (?:\s*\d+: )?Error \([^)]*\): (.*)$/;
/** What is there with every success too. */
const NOISE = /^rlimit: Can't setup|^tun: Unable to create|cgroupd: recv req error/;
/** What only hands a failure on. */
const SUMMARY = /FAILED|failed with -?\d+$|killed by signal|exited, status/;

/** Directories that CRIU makes for the time of a restore: the second in its working directory. */
const TEMPORARY = /\/tmp\/\.criu\.mntns\.\w{6}\b|\.criu\.cgyard\.\w{6}\b/g;

/** Removes what a CRIU that was ended has left, by what its log names. Nothing is mounted there any more, nor is anything in them. */
export function removeTemporary(host: Host, directory: string, log: string): void {
  for (const name of new Set(readLog(host, log).match(TEMPORARY) ?? [])) {
    try {
      host.removeDirectory(name.startsWith('/') ? name : `${directory}/${name}`);
    } catch (error) {
      if (!(error instanceof StrataError)) throw error;
    }
  }
}

/** Its end; '' if it cannot be read. */
function readLog(host: Host, log: string): string {
  try {
    const file = host.openLog(log);
    if (file === undefined) return '';
    try {
      return host.readLines(file, host.lastLines(file, LINES).offset, BYTES).text;
    } finally {
      host.close(file);
    }
  } catch (error) {
    if (error instanceof StrataError) return '';
    throw error;
  }
}

function firstError(host: Host, log: string): string | undefined {
  const all = readLog(host, log)
    .split('\n')
    .flatMap((line) => ERROR.exec(line.trimEnd())?.[1] ?? []);
  const errors = all.filter((error) => !NOISE.test(error));
  return errors.find((error) => !SUMMARY.test(error)) ?? errors[0];
}
