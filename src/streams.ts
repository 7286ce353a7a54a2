/** Node streams for what a container reads and writes. */
import { openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { Duplex } from 'node:stream';
import { ReadStream } from 'node:tty';
import { StrataError } from './base/error.ts';
import type { Descriptor, Host } from './host/host.ts';

/** See `CreateOptions.stdio`. */
export type Stdio = 'inherit' | 'ignore' | 'pipe' | number | { readonly fd: number };

/** Three descriptors for a container, and what hangs on them. */
export interface OpenStdio {
  readonly descriptors: readonly [Descriptor, Descriptor, Descriptor];
  /** Makes streams of our ends of the pipes; to be called once, when the container has the others. */
  streams(): { stdin: Writable | null; stdout: Readable | null; stderr: Readable | null };
  /** Closes what the container has got, and our ends too if no streams were made of them (`kept` false). */
  close(kept: boolean): void;
}

/** Pipes rather than sockets, because programs reopen /dev/stdout, which a socket refuses (ENXIO). */
export function openStdio(host: Host, stdio: Stdio | readonly [Stdio, Stdio, Stdio]): OpenStdio {
  const wanted: readonly [Stdio, Stdio, Stdio] = isTriple(stdio) ? stdio : [stdio, stdio, stdio];
  const theirs: Descriptor[] = [];
  const mine: (Descriptor | undefined)[] = [];
  const close = (kept: boolean) => {
    for (const descriptor of theirs) host.close(descriptor);
    if (!kept) for (const descriptor of mine) if (descriptor !== undefined) host.close(descriptor);
  };
  const open = (value: Stdio, index: 0 | 1 | 2): Descriptor => {
    mine[index] = undefined;
    if (value === 'inherit') return index;
    if (value === 'ignore') {
      const descriptor = openSync('/dev/null', 'r+');
      theirs.push(descriptor);
      return descriptor;
    }
    if (value === 'pipe') {
      const [reading, writing] = host.pipe();
      theirs.push(index === 0 ? reading : writing);
      mine[index] = index === 0 ? writing : reading;
      return index === 0 ? reading : writing;
    }
    const descriptor = typeof value === 'number' ? value : value.fd;
    if (!Number.isInteger(descriptor) || descriptor < 0)
      throw new StrataError({ code: 'usage', reason: `stdio[${index}] is not an open descriptor` });
    return descriptor;
  };
  try {
    const descriptors = [open(wanted[0], 0), open(wanted[1], 1), open(wanted[2], 2)] as const;
    return { descriptors, close, streams: () => ({ stdin: writable(mine[0]), stdout: readable(mine[1]), stderr: readable(mine[2]) }) };
  } catch (error) {
    close(false);
    throw error;
  }
}

function isTriple(stdio: Stdio | readonly [Stdio, Stdio, Stdio]): stdio is readonly [Stdio, Stdio, Stdio] {
  return Array.isArray(stdio);
}

function writable(descriptor: Descriptor | undefined): Writable | null {
  return descriptor === undefined ? null : new Socket({ fd: descriptor, readable: false, writable: true });
}

function readable(descriptor: Descriptor | undefined): Readable | null {
  return descriptor === undefined ? null : new Socket({ fd: descriptor, readable: true, writable: false });
}

/** A stream over the master of a terminal. The kernel answers EIO when the last holder of the slave is gone: here that is the end. */
export function consoleStream(master: Descriptor): Duplex {
  const terminal = new ReadStream(master);
  const stream = new Duplex({
    read: () => {
      terminal.resume();
    },
    write: (chunk: Buffer, _encoding, done) => {
      terminal.write(chunk, done);
    },
    destroy: (error, done) => {
      terminal.destroy();
      done(error);
    },
  });
  terminal.on('data', (chunk) => {
    if (!stream.push(chunk)) terminal.pause();
  });
  terminal.on('end', () => stream.push(null));
  terminal.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EIO') stream.push(null);
    else stream.destroy(error);
  });
  return stream;
}
