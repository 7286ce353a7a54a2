/** A connection to systemd over D-Bus: authentication, calls, and the signals that tell how a job has ended. */
import { StrataError } from '../base/error.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { decodeMessage, encodeCall, MESSAGE, type Message, type Value, type Variant } from './message.ts';

/** Whose systemd: the machine's, or the user's own (systemd --user). */
export type Manager = 'system' | 'user';

/** systemd refused a call; `message` is in its words. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  /** `org.freedesktop.systemd1.NoSuchUnit`. */
  readonly code: string;
  constructor(code: string, words: string) {
    super(words);
    this.code = code;
  }
}

const SYSTEMD = 'org.freedesktop.systemd1';
const OBJECT = '/org/freedesktop/systemd1';
const MANAGER = `${SYSTEMD}.Manager`;
const BUS = 'org.freedesktop.DBus';
const MATCH = `type='signal',sender='${SYSTEMD}',path='${OBJECT}',interface='${MANAGER}',member='JobRemoved'`;

/** Milliseconds that systemd has for what is asked over one connection, as in runc. */
const PATIENCE = 30_000;
/** Bytes of the lines of the authentication. */
const LONGEST_GREETING = 4096;

interface Address {
  readonly path: string;
  /** A bus, where systemd is one of many; else systemd itself. */
  readonly isBus: boolean;
}

/** `unix:path=/run/dbus/system_bus_socket,guid=…;…`: the first that is a path. Other kinds, such as abstract names, do not reach systemd. */
export function addressPath(address: string): string | undefined {
  for (const item of address.split(';')) {
    const path = item.startsWith('unix:') ? /(?:^|,)path=([^,]*)/.exec(item.slice('unix:'.length))?.[1] : undefined;
    if (path !== undefined) return path.replace(/%([\da-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  }
  return undefined;
}

/** Where systemd may be reached, the usual way first. Its private sockets are for when there is no bus, as early in the boot. */
function addresses(host: Host, manager: Manager): readonly Address[] {
  if (manager === 'system') {
    const bus = addressPath(host.environment('DBUS_SYSTEM_BUS_ADDRESS') ?? '') ?? '/run/dbus/system_bus_socket';
    return [
      { path: bus, isBus: true },
      { path: '/run/systemd/private', isBus: false },
    ];
  }
  const runtime = host.environment('XDG_RUNTIME_DIR') ?? `/run/user/${host.userId()}`;
  const bus = addressPath(host.environment('DBUS_SESSION_BUS_ADDRESS') ?? '') ?? `${runtime}/bus`;
  return [
    { path: bus, isBus: true },
    { path: `${runtime}/systemd/private`, isBus: false },
  ];
}

export class Bus {
  private readonly host: Host;
  private readonly socket: Descriptor;
  private readonly destination: string;
  private readonly deadline: number;
  private serial = 0;
  private unsent = '';
  private received = '';
  /** Of the jobs that have ended: object path and result. */
  private readonly ended = new Map<string, string>();

  private constructor(host: Host, socket: Descriptor, isBus: boolean) {
    this.host = host;
    this.socket = socket;
    this.destination = isBus ? SYSTEMD : '';
    this.deadline = host.now() + PATIENCE;
  }

  /** Does `work` over a connection of its own. @throws StrataError `config-unsupported` if there is no systemd; {@link Refusal}. */
  static async with<T>(host: Host, manager: Manager, work: (bus: Bus) => Promise<T>): Promise<T> {
    const { socket, isBus } = connect(host, manager);
    try {
      const bus = new Bus(host, socket, isBus);
      await bus.greet();
      return await work(bus);
    } finally {
      host.close(socket);
    }
  }

  /** Everything at once: nothing here depends on an answer. The peer knows who we are from the socket, whatever our ids are in a user namespace. */
  private async greet(): Promise<void> {
    this.unsent = '\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n';
    if (this.destination !== '') {
      this.send(BUS, '/org/freedesktop/DBus', BUS, 'Hello', '', [], false);
      this.send(BUS, '/org/freedesktop/DBus', BUS, 'AddMatch', 's', [MATCH], false);
    }
    this.send(this.destination, OBJECT, MANAGER, 'Subscribe', '', [], false);
    for (let awaited = 'DATA'; ; ) {
      const end = this.received.indexOf('\r\n');
      if (end === -1) {
        if (this.received.length > LONGEST_GREETING) throw unable('it does not speak D-Bus');
        await this.more();
        continue;
      }
      const line = this.received.slice(0, end);
      this.received = this.received.slice(end + 2);
      if (line.split(' ', 1)[0] !== awaited) throw unable(`it does not accept this user (${line.slice(0, 80)})`);
      if (awaited === 'OK') return;
      awaited = 'OK';
    }
  }

  /** A method of systemd's manager. @throws Refusal */
  call(member: string, signature: string, body: readonly Value[]): Promise<readonly Value[]> {
    return this.ask(OBJECT, MANAGER, member, signature, body);
  }

  /** A property: of the manager, if nothing else is said. */
  async property(name: string, object = OBJECT, of = MANAGER): Promise<Variant | undefined> {
    const [value] = await this.ask(object, 'org.freedesktop.DBus.Properties', 'Get', 'ss', [of, name]);
    return typeof value === 'object' && 'value' in value ? value : undefined;
  }

  /** A method that gives back a job: when that has ended, how it has. `done` is the good end. */
  async job(member: string, signature: string, body: readonly Value[]): Promise<string> {
    const [job] = await this.call(member, signature, body);
    if (typeof job !== 'string') throw unable('it gave no job');
    for (;;) {
      const result = this.ended.get(job);
      if (result !== undefined) return result;
      await this.next();
    }
  }

  private async ask(path: string, name: string, member: string, signature: string, body: readonly Value[]): Promise<readonly Value[]> {
    const serial = this.send(this.destination, path, name, member, signature, body, true);
    for (;;) {
      const message = await this.next();
      if (message.replySerial !== serial) continue;
      if (message.type === MESSAGE.reply) return message.body;
      const [words] = message.body;
      throw new Refusal(message.errorName, typeof words === 'string' && words !== '' ? words : message.errorName);
    }
  }

  private send(
    destination: string,
    path: string,
    name: string,
    member: string,
    signature: string,
    body: readonly Value[],
    wantsReply: boolean,
  ): number {
    const serial = ++this.serial;
    this.unsent += encodeCall({ serial, destination, path, interface: name, member, signature, body, wantsReply });
    return serial;
  }

  /** The next message; of one that tells the end of a job note is taken. */
  private async next(): Promise<Message> {
    for (;;) {
      const message = this.unsent === '' ? decodeMessage(this.received) : undefined;
      if (message === undefined) {
        await this.more();
        continue;
      }
      this.received = this.received.slice(message.size);
      if (message.type === MESSAGE.signal && message.member === 'JobRemoved') {
        const [, job, , result] = message.body;
        if (typeof job === 'string' && typeof result === 'string') this.ended.set(job, result);
      }
      return message;
    }
  }

  private async more(): Promise<void> {
    const unsent = this.unsent;
    this.unsent = '';
    const left = this.deadline - this.host.now();
    const received = left > 0 ? await this.host.exchange(this.socket, unsent, left) : undefined;
    if (received === undefined) {
      throw new StrataError({ code: 'timeout', stage: 'cgroup', reason: `systemd did not answer within ${PATIENCE / 1000} s` });
    }
    if (received === '') throw unable('it has closed the connection');
    this.received += received;
  }
}

function connect(host: Host, manager: Manager): { readonly socket: Descriptor; readonly isBus: boolean } {
  let first: unknown;
  for (const { path, isBus } of addresses(host, manager)) {
    try {
      return { socket: host.connect(path), isBus };
    } catch (error) {
      if (!(error instanceof StrataError) || error.errno === undefined) throw error;
      first ??= error;
    }
  }
  const { errno, path } = first as StrataError;
  throw new StrataError({
    code: 'config-unsupported',
    stage: 'cgroup',
    reason: manager === 'system' ? 'cannot reach systemd' : "cannot reach the user's systemd",
    ...(errno !== undefined && { errno }),
    ...(path !== undefined && { path }),
    hint: manager === 'system' ? 'without systemd leave --systemd-cgroup out' : 'DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR tells where it is',
  });
}

function unable(reason: string): StrataError {
  return new StrataError({ code: 'system', stage: 'cgroup', reason: `cannot talk to systemd: ${reason}` });
}
