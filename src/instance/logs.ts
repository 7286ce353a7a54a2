/** The log of a container that was in the background: lines of JSON in several files, which its keeper writes (native/keeper/log.hpp). */
import { StrataError } from '../base/error.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { checkId } from '../lifecycle/id.ts';
import { containerPath } from '../store/paths.ts';
import { openStore } from '../store/store.ts';
import { logFile } from './directory.ts';
import type { InstanceName } from './instances.ts';
import { exitOf, loadInstance, runState } from './instances.ts';

export interface LogRecord {
  /** With its newline, unless the line was cut in pieces or by the program's end. */
  readonly log: string;
  readonly stream: 'stdout' | 'stderr';
  /** RFC 3339 in UTC with nanoseconds: such texts are ordered as the moments are. */
  readonly time: string;
}

export interface LogOptions extends InstanceName {
  /** Goes on until the container has ended. */
  readonly follow?: boolean;
  /** So many of the last records; all if absent. */
  readonly tail?: number;
  /** None before this moment, a text like {@link LogRecord.time}. */
  readonly since?: string;
  /** None at this moment and after it. */
  readonly until?: string;
  /** Called again and again; what it throws ends the reading. */
  readonly checkpoint?: () => void;
}

/** Bytes that are read at once; the largest record fits several times. */
const CHUNK = 512 * 1024;
/** Milliseconds. */
const INTERVAL = 100;
/** A file can be rotated while the others are being opened. */
const ATTEMPTS = 10;

/** Gives the records to `take`, some at a time, oldest first. @throws StrataError `not-found`; `status` if the container has no log. */
export async function readLogs(host: Host, options: LogOptions, take: (records: readonly LogRecord[]) => void): Promise<void> {
  const { id, tail, follow = false } = options;
  checkId(id);
  const { log } = loadInstance(openStore(host, options.store), id);
  if (log.driver === 'none') throw new StrataError({ code: 'status', reason: `container ${id} has no log: it was made with --log-driver none` });
  const reading = new Reading(host, options, take);
  try {
    reading.open();
    if (tail !== undefined) reading.skipTo(tail);
    reading.readAll();
    while (follow && (await reading.mayGrow())) {
      await host.sleep(INTERVAL);
      options.checkpoint?.();
      reading.readAll();
    }
  } finally {
    reading.close();
  }
}

/** A file of the log, and how far it has been read. */
interface File {
  readonly descriptor: Descriptor;
  offset: bigint;
}

class Reading {
  private readonly host: Host;
  private readonly options: LogOptions;
  private readonly take: (records: readonly LogRecord[]) => void;
  private readonly path: string;
  /** Oldest first. */
  private files: File[] = [];

  constructor(host: Host, options: LogOptions, take: (records: readonly LogRecord[]) => void) {
    this.host = host;
    this.options = options;
    this.take = take;
    this.path = logFile(containerPath(options.store, options.id));
  }

  close(): void {
    for (const { descriptor } of this.files) this.host.close(descriptor);
    this.files = [];
  }

  open(): void {
    this.openSince(undefined);
  }

  /** Opens all files that were begun after this one. False if there are none. */
  private openSince(old: Descriptor | undefined): boolean {
    for (let attempt = 1; ; attempt++) {
      const found = this.filesSince(old);
      const newest = found.at(-1);
      // If it is the newest still, none has got another name behind our back.
      if (newest === undefined || attempt === ATTEMPTS || this.host.isFileAt(newest.descriptor, this.path)) {
        this.files.push(...found);
        return newest !== undefined;
      }
      for (const { descriptor } of found) this.host.close(descriptor);
    }
  }

  /** Oldest first. */
  private filesSince(old: Descriptor | undefined): File[] {
    const { host } = this;
    const found: File[] = [];
    for (let number = 0; old === undefined || !host.isFileAt(old, this.nameOf(number)); number++) {
      const descriptor = host.openLog(this.nameOf(number));
      if (descriptor !== undefined) found.unshift({ descriptor, offset: 0n });
      // While they get other names, one number is nobody's.
      else if (host.stat(this.nameOf(number + 1)) === undefined) break;
    }
    return found;
  }

  private nameOf(number: number): string {
    return number === 0 ? this.path : `${this.path}.${number}`;
  }

  /** Leaves out all but the last `count` records. */
  skipTo(count: number): void {
    let left = count;
    for (let index = this.files.length - 1; index >= 0; index--) {
      const file = this.files[index] as File;
      const { offset, found } = this.host.lastLines(file.descriptor, left);
      file.offset = offset;
      left -= found;
    }
  }

  /** Reads on to the end, also in files that were begun since. */
  readAll(): void {
    if (this.files.length === 0) this.open();
    for (;;) {
      while (this.files.length > 1) {
        this.readFirst();
        this.host.close((this.files.shift() as File).descriptor);
      }
      const [last] = this.files;
      if (last === undefined) return;
      // Asked first: what was written before the file got another name is there when it is read.
      const current = this.host.isFileAt(last.descriptor, this.path);
      this.readFirst();
      if (current || !this.openSince(last.descriptor)) return;
    }
  }

  private readFirst(): void {
    const [file] = this.files;
    if (file === undefined) return;
    for (;;) {
      const { text, next } = this.host.readLines(file.descriptor, file.offset, CHUNK);
      if (text === '') return;
      file.offset = next;
      this.take(this.recordsOf(text));
    }
  }

  private recordsOf(text: string): readonly LogRecord[] {
    const { since = '', until } = this.options;
    const records: LogRecord[] = [];
    for (let begin = 0, end = 0; begin < text.length; begin = end + 1) {
      end = text.indexOf('\n', begin);
      const record = parse(text.slice(begin, end));
      if (record !== undefined && record.time >= since && (until === undefined || record.time < until)) records.push(record);
    }
    return records;
  }

  /** Whether its keeper may write still. */
  async mayGrow(): Promise<boolean> {
    const { host, options } = this;
    const { id, store } = options;
    const directory = containerPath(store, id);
    if (host.stat(directory) === undefined || exitOf({ host, root: store }, id) !== undefined) return this.lastLook();
    const running = await runState(host, options);
    if (running !== undefined && running.status !== 'stopped') return true;
    // Between its end and the record of it the keeper has the lock.
    const lock = host.tryLock(directory);
    if (lock === undefined) return host.stat(directory) !== undefined;
    host.close(lock);
    return this.lastLook();
  }

  /** It has ended: what was written since the last look is read. */
  private lastLook(): false {
    this.readAll();
    return false;
  }
}

/** What a machine that went down has cut short is left out. */
function parse(line: string): LogRecord | undefined {
  try {
    const { log, stream, time } = JSON.parse(line) as Partial<LogRecord>;
    if (typeof log !== 'string' || typeof time !== 'string' || (stream !== 'stdout' && stream !== 'stderr')) return undefined;
    return { log, stream, time };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
