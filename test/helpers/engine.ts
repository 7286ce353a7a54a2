/** What the suites with engines share: their programs, their daemons, and what they leave on the machine. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { eventually, makeRootfs, mounts, type Result } from './container.ts';
import { CRIU_PATH } from './criu.ts';

/** The image of a busybox that every test has. */
export const IMAGE = 'localhost/busybox:1';

/** What its configuration says, in the words of an image's builder. Ctr adds no PATH to an environment. */
export const IMAGE_CHANGES: readonly string[] = [
  'CMD ["/bin/sh"]',
  'ENV FROM_IMAGE=yes',
  'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
];

/** Who makes the cgroups of an engine's containers. */
export type EngineCgroups = 'cgroupfs' | 'systemd';

/** Limits that podman's own would exceed where root lacks CAP_SYS_RESOURCE, and nothing that needs systemd but what is asked for. */
const configuration = (manager: EngineCgroups): string => `
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
cgroup_manager = "${manager}"
events_logger = "file"
`;

/** Which of these programs are missing here. */
export function missingPrograms(...names: readonly string[]): string[] {
  const directories = (process.env.PATH ?? '').split(':');
  return names.filter((name) => !directories.some((directory) => fs.existsSync(join(directory, name))));
}

/** A program of an engine that takes so long has hung, milliseconds. */
const HANGS = 60_000;

/** A directory in which one engine has all of its state; the name tells whose mounts and processes are whose. */
export class Place {
  readonly directory: string;
  readonly environment: Record<string, string>;

  constructor(engine: string, manager: EngineCgroups = 'cgroupfs') {
    this.directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), `strata-${engine}-`)));
    fs.writeFileSync(this.path('containers.conf'), configuration(manager));
    this.environment = {
      PATH: CRIU_PATH,
      HOME: this.directory,
      DOCKER_BUILDKIT: '0',
      CONTAINERS_CONF: this.path('containers.conf'),
      PODMAN_IGNORE_CGROUPSV1_WARNING: '1',
    };
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** A tar archive with the files of the image. */
  archive(): string {
    const archive = this.path('rootfs.tar');
    if (!fs.existsSync(archive)) execFileSync('tar', ['-C', makeRootfs(this.path('rootfs')), '-cf', archive, '.']);
    return archive;
  }

  /** Runs a program to its end, not until its pipes are closed, which what it has started may hold for longer. */
  execute(args: readonly string[], input?: string, descriptors: readonly number[] = []): Promise<Result> {
    const [program = '', ...rest] = args;
    return new Promise((fulfil, reject) => {
      // Conmon leaves notes in the working directory.
      const child = spawn(program, rest, {
        cwd: this.directory,
        env: this.environment,
        stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...descriptors],
      });
      let [stdout, stderr] = ['', ''];
      child.stdout?.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr?.on('data', (chunk) => {
        stderr += chunk;
      });
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`${args.join(' ')} hangs; so far it said: ${stderr}${stdout}`));
      }, HANGS);
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        setImmediate(() => fulfil({ code: code ?? -1, signal, stdout, stderr }));
      });
      child.stdin?.end(input);
    });
  }

  /** The same, and it must succeed: what it prints, without the last newline. @throws Error with what it said. */
  async told(args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.execute(args, input);
    if (code !== 0) throw new Error(`${args.join(' ')}: status ${code}\n${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** With a terminal of 34 rows and 112 columns, into which `input` is typed. */
  terminal(args: readonly string[], input: string): Promise<Result> {
    const line = args.map((argument) => `'${argument.replaceAll("'", "'\\''")}'`).join(' ');
    return this.execute(['script', '-qec', `stty rows 34 cols 112; ${line}`, '/dev/null'], input);
  }

  /** Mounts and processes that name the directory, one line each. */
  leaks(): string[] {
    const processes = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
    return [
      ...mounts()
        .filter((line) => line.includes(this.directory))
        .map((line) => `mount ${line}`),
      ...processes.filter((pid) => commandLine(pid).includes(this.directory)).map((pid) => `process ${pid}: ${commandLine(pid)}`),
    ];
  }

  /** Removes the directory, unless something is still mounted in it. */
  dispose(): void {
    if (!this.leaks().some((line) => line.startsWith('mount'))) fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

function commandLine(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** A daemon that a suite has started, and ends by its pid. Its output is in the file `daemon.log` of its place. */
export class Daemon {
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #log = '';

  constructor(place: Place, args: readonly string[]) {
    const [program = '', ...rest] = args;
    const log = fs.openSync(place.path('daemon.log'), 'a');
    this.#log = place.path('daemon.log');
    this.#child = spawn(program, rest, { cwd: place.directory, env: place.environment, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    this.#gone = new Promise((fulfil) => this.#child.once('exit', () => fulfil()));
  }

  /** Waits until the daemon answers. @throws Error with its last words if it does not. */
  async answers(question: () => Promise<boolean>): Promise<void> {
    await eventually('the daemon to answer', async () => {
      if (this.#child.exitCode !== null) throw new Error(`the daemon has ended: ${fs.readFileSync(this.#log, 'utf8').slice(-2000)}`);
      return question();
    });
  }

  /** Ends it as its service manager would. */
  async end(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#gone;
  }
}

/** Removes the parent cgroup that an engine, or a runtime other than strata, has made for a test, with those of engines in it. */
export async function removeParents(token: string): Promise<void> {
  for (const name of fs.readdirSync('/sys/fs/cgroup')) {
    for (const path of [`${token}/conmon`, token]) {
      await removeCgroup(join('/sys/fs/cgroup', name, path));
    }
  }
}

/** Removes a cgroup, if it is there, and those below it, as soon as nobody is in them. */
export async function removeCgroup(directory: string): Promise<void> {
  if (!fs.existsSync(directory)) return;
  const below = fs.readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of below) await removeCgroup(join(directory, name));
  await eventually(`${directory} to be unused`, () => !fs.existsSync(directory) || isRemoved(directory));
}

function isRemoved(directory: string): boolean {
  try {
    fs.rmdirSync(directory);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return false;
    throw error;
  }
}

/** A file of a container's cgroup, by its name in v1 or its name in v2. */
export function cgroupFile(path: string, one: string, two: string): string {
  for (const name of fs.readdirSync('/sys/fs/cgroup')) {
    const file = join('/sys/fs/cgroup', name, path, one);
    if (fs.existsSync(file)) return fs.readFileSync(file, 'utf8').trim();
  }
  return fs.readFileSync(join('/sys/fs/cgroup', path, two), 'utf8').trim();
}

/** Where the program of this name is, for engines that want a path. */
export function whereIs(name: string): string {
  return execFileSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' }).trim();
}

/** Commands that cannot be executed, and the status that engines give for them. */
export const BAD_COMMANDS: readonly { readonly command: string; readonly status: number; readonly words: RegExp }[] = [
  { command: 'nope', status: 127, words: /executable file not found in \$PATH/ },
  { command: '/no/such/program', status: 127, words: /stat \/no\/such\/program: no such file or directory/i },
  { command: '/etc/passwd', status: 126, words: /permission denied/i },
  { command: '/etc', status: 126, words: /permission denied|is a directory/i },
];

/** Asserts that commands that cannot be executed have these statuses, with these words, and print nothing. */
export async function badCommands(t: ExecutionContext, run: (command: string) => Promise<Result>, cases = BAD_COMMANDS): Promise<void> {
  for (const { command, status, words } of cases) {
    const { code, stdout, stderr } = await run(command);
    t.is(code, status, `${command}: ${stderr}`);
    t.regex(stderr + stdout, words);
  }
}
