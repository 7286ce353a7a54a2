/** A kubelet's view of strata: pods, containers, probes and statistics by way of containerd's CRI. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Workspace } from '../helpers/container.ts';
import { eventually, whyNoContainers } from '../helpers/container.ts';
import { Containerd, CRI_NAMESPACE } from '../helpers/containerd.ts';
import { Cri, type Message, missingDescription } from '../helpers/cri.ts';
import { BAD_COMMANDS, cgroupFile, IMAGE, missingPrograms, removeParents } from '../helpers/engine.ts';
import { containerTest } from './_support.ts';

const missing = [...missingPrograms('containerd', 'containerd-shim-runc-v2', 'ctr', 'podman', 'runc'), ...missingDescription()];
let containerd: Containerd | undefined;
let cri: Cri | undefined;

test.before(async () => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  containerd = new Containerd();
  await containerd.ready();
  cri = new Cri(containerd.socket);
  await eventually('the CRI to be ready', async () =>
    (await (cri as Cri).call<{ status: { conditions: { type: string; status: boolean }[] } }>('Status', {})).status.conditions.some(
      ({ type, status }) => type === 'RuntimeReady' && status,
    ),
  );
});
test.after.always(async () => {
  cri?.close();
  await containerd?.end();
  containerd?.dispose();
});

interface ExecResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exit_code: number;
}

interface Status {
  readonly state: string;
  readonly exit_code: number;
  readonly reason: string;
  readonly message: string;
}

/** Namespaces of a container; those of the pod unless something else is asked for. */
const CONTAINER: Message = { security_context: { namespace_options: { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' } } };

/** A pod in a workspace, with one of the runtimes. */
class Pod {
  readonly workspace: Workspace;
  readonly runtime: string;
  readonly #cri: Cri;
  readonly #config: Message;
  id = '';

  constructor(workspace: Workspace, connection: Cri, runtime: string, linux: Message = {}) {
    this.workspace = workspace;
    this.runtime = runtime;
    this.#cri = connection;
    const name = workspace.id('pod');
    this.#config = {
      metadata: { name, uid: name, namespace: 'default', attempt: 0 },
      log_directory: workspace.path('logs'),
      linux: { cgroup_parent: `/${workspace.token}`, ...CONTAINER, ...linux },
    };
  }

  call<Answer = Message>(method: string, request: Message): Promise<Answer> {
    return this.#cri.call<Answer>(method, request);
  }

  async run(): Promise<this> {
    fs.mkdirSync(this.#config['log_directory'] as string);
    const { pod_sandbox_id } = await this.call<{ pod_sandbox_id: string }>('RunPodSandbox', { config: this.#config, runtime_handler: this.runtime });
    this.id = pod_sandbox_id;
    return this;
  }

  /** A container that is created and not started. */
  async create(script: string, config: Message = {}): Promise<string> {
    const name = this.workspace.id();
    const { container_id } = await this.call<{ container_id: string }>('CreateContainer', {
      pod_sandbox_id: this.id,
      config: {
        metadata: { name, attempt: 0 },
        image: { image: IMAGE },
        command: ['sh', '-c', script],
        log_path: `${name}.log`,
        linux: {},
        ...config,
      },
      sandbox_config: this.#config,
    });
    return container_id;
  }

  /** A container that runs. */
  async start(script: string, config: Message = {}): Promise<string> {
    const id = await this.create(script, config);
    await this.call('StartContainer', { container_id: id });
    return id;
  }

  async exec(id: string, ...cmd: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const { exit_code, stdout, stderr } = await this.call<ExecResult>('ExecSync', { container_id: id, cmd, timeout: 60 });
    return { code: exit_code, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  async status(id: string): Promise<Status> {
    return (await this.call<{ status: Status }>('ContainerStatus', { container_id: id })).status;
  }

  async exited(id: string): Promise<Status> {
    await eventually(`${id} to exit`, async () => (await this.status(id)).state === 'CONTAINER_EXITED');
    return this.status(id);
  }

  /** What the containers of the pod have printed: lines with a time, a stream and a mark before the text. */
  log(id: string): Promise<string> {
    return this.call<{ status: { log_path: string } }>('ContainerStatus', { container_id: id }).then(({ status }) =>
      fs.existsSync(status.log_path) ? fs.readFileSync(status.log_path, 'utf8').replace(/^\S+ (\S+) \S /gm, '$1: ') : '',
    );
  }

  async remove(): Promise<void> {
    await this.call('StopPodSandbox', { pod_sandbox_id: this.id });
    await this.call('RemovePodSandbox', { pod_sandbox_id: this.id });
  }
}

/** @param linux - More of the pod's configuration. */
function podTest(title: string, body: (t: ExecutionContext, pod: (runtime?: string, linux?: Message) => Promise<Pod>) => Promise<void>): void {
  if (missing.length > 0) {
    test.skip(`${title} (${missing.join(', ')} missing)`, (t) => t.pass());
    return;
  }
  containerTest(title, async (t, workspace) => {
    if (containerd === undefined || cri === undefined) throw new Error('containerd has not been set up');
    const pods: Pod[] = [];
    try {
      await body(t, (runtime = 'strata', linux = {}) => {
        const pod = new Pod(workspace, cri as Cri, runtime, linux);
        pods.push(pod);
        return pod.run();
      });
    } finally {
      for (const pod of pods) if (pod.id !== '') await pod.remove();
    }
    const { items } = await cri.call<{ items: unknown[] }>('ListPodSandbox', {});
    t.deepEqual(items, []);
    t.deepEqual(containerd.containers(CRI_NAMESPACE), []);
    await eventually('shims to end', () => !workspace.leaks().some((line) => line.startsWith('process')));
    await removeParents(workspace.token);
  });
}

podTest('a pod with a container: state, output, exit status, and what is told of it', async (t, start) => {
  const pod = await start();
  const id = await pod.create('echo out; echo err >&2; exec sleep 1000');
  t.is((await pod.status(id)).state, 'CONTAINER_CREATED');
  await pod.call('StartContainer', { container_id: id });
  t.is((await pod.status(id)).state, 'CONTAINER_RUNNING');
  const { containers } = await pod.call<{ containers: { id: string }[] }>('ListContainers', { filter: { pod_sandbox_id: pod.id } });
  t.deepEqual(
    containers.map((container) => container.id),
    [id],
  );
  await eventually('its output', async () => (await pod.log(id)).split('\n').length === 3);
  t.deepEqual((await pod.log(id)).trimEnd().split('\n').sort(), ['stderr: err', 'stdout: out']);
  await pod.call('StopContainer', { container_id: id, timeout: 0 });
  t.like(await pod.status(id), { state: 'CONTAINER_EXITED', exit_code: 137 });
  await pod.call('RemoveContainer', { container_id: id });
  const ends = await pod.start('trap "exit 4" TERM; while :; do sleep 0.01; done');
  await pod.call('StopContainer', { container_id: ends, timeout: 60 });
  t.like(await pod.status(ends), { state: 'CONTAINER_EXITED', exit_code: 4 });
});

podTest('ExecSync: output, exit status, commands that cannot be executed', async (t, start) => {
  const pod = await start();
  const id = await pod.start('exec sleep 1000', { envs: [{ key: 'OF', value: Buffer.from('container') }], working_dir: '/tmp' });
  t.deepEqual(await pod.exec(id, 'sh', '-c', 'echo "$OF $PWD"; echo err >&2; exit 9'), { code: 9, stdout: 'container /tmp\n', stderr: 'err\n' });
  for (const { command, words } of BAD_COMMANDS) await t.throwsAsync(pod.exec(id, command), { message: words });
  const late = pod.call('ExecSync', { container_id: id, cmd: ['sleep', '3000'], timeout: 1 });
  await t.throwsAsync(late, { message: /timed out|timeout|deadline/i });
  await eventually('the late one to be killed', async () => !(await pod.exec(id, 'ps')).stdout.includes('sleep 3000'));
});

podTest('probes of several containers at the same time', async (t, start) => {
  const pod = await start();
  const ids = await Promise.all([1, 2, 3].map((number) => pod.start(`echo ${number} >/tmp/number; exec sleep 1000`)));
  const written = async (id: string): Promise<boolean> => (await pod.exec(id, 'test', '-s', '/tmp/number')).code === 0;
  for (const id of ids) await eventually('the number to be there', () => written(id));
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(ids.map((id) => pod.exec(id, 'cat', '/tmp/number')));
    t.deepEqual(
      answers.map(({ stdout }) => stdout),
      ['1\n', '2\n', '3\n'],
    );
  }
});

podTest('Exec with a terminal, streamed over a socket', async (t, start) => {
  const pod = await start();
  const id = await pod.start('exec sleep 1000');
  const { url } = await pod.call<{ url: string }>('Exec', {
    container_id: id,
    cmd: ['sh', '-c', 'tty; read line; echo "got $line"'],
    tty: true,
    stdin: true,
    stdout: true,
  });
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'v4.channel.k8s.io');
  socket.binaryType = 'arraybuffer';
  let output = '';
  // The first byte is the channel: 0 input, 1 output, 3 how it has ended.
  const closed = new Promise<void>((fulfil, reject) => {
    socket.addEventListener('open', () => socket.send(Buffer.from('\0typed\n')));
    socket.addEventListener('message', ({ data }) => {
      output += Buffer.from(data as ArrayBuffer)
        .subarray(1)
        .toString();
    });
    socket.addEventListener('close', () => fulfil());
    socket.addEventListener('error', () => reject(new Error(`cannot talk to ${url}`)));
  });
  await closed;
  t.regex(output, /\/dev\/pts\/0/);
  t.regex(output, /^got typed\r$/m);
});

podTest('a command that cannot be executed is told by StartContainer, and its container can be removed', async (t, start) => {
  const pod = await start();
  for (const { command, words, status } of BAD_COMMANDS) {
    const id = await pod.create('', { command: [command] });
    await t.throwsAsync(pod.call('StartContainer', { container_id: id }), { message: words });
    t.like(await pod.status(id), { state: 'CONTAINER_EXITED', reason: 'StartError', exit_code: 128 }, String(status));
    await pod.call('RemoveContainer', { container_id: id });
  }
});

const LIMITS: Message = { memory_limit_in_bytes: 64 * 1024 * 1024, cpu_quota: 50000, cpu_period: 100000, cpu_shares: 512, oom_score_adj: 900 };

podTest('resources, and UpdateContainerResources', async (t, start) => {
  const seen: unknown[] = [];
  for (const runtime of ['strata', 'runc']) {
    const pod = await start(runtime);
    const id = await pod.start('exec sleep 1000', { linux: { resources: LIMITS } });
    const path = `${pod.workspace.token}/${id}`;
    const values = (): string[] => [
      cgroupFile(path, 'memory.limit_in_bytes', 'memory.max'),
      cgroupFile(path, 'cpu.cfs_quota_us', 'cpu.max'),
      cgroupFile(path, 'cpu.shares', 'cpu.weight'),
    ];
    const before = values();
    await pod.call('UpdateContainerResources', {
      container_id: id,
      linux: { memory_limit_in_bytes: 96 * 1024 * 1024, cpu_quota: 25000, cpu_shares: 256 },
    });
    seen.push([before, values(), (await pod.exec(id, 'cat', '/proc/1/oom_score_adj')).stdout]);
  }
  t.deepEqual(seen[0], seen[1]);
  t.deepEqual((seen[0] as string[][])[1]?.[0], String(96 * 1024 * 1024));
});

podTest('statistics of containers and pods', async (t, start) => {
  const pod = await start();
  const id = await pod.start('exec sleep 1000', { linux: { resources: LIMITS } });
  const { stats } = await pod.call<{
    stats: { memory: { working_set_bytes: { value: number } }; cpu: { usage_core_nano_seconds: { value: number } } };
  }>('ContainerStats', { container_id: id });
  t.true(stats.memory.working_set_bytes.value > 0);
  t.true(stats.cpu.usage_core_nano_seconds.value > 0);
});

podTest('an OOM is the reason of an exit', async (t, start) => {
  const pod = await start();
  const resources = { memory_limit_in_bytes: 16 * 1024 * 1024, memory_swap_limit_in_bytes: 16 * 1024 * 1024 };
  // The kernel kills a child, and not at once: containerd may hear of the end of a first process before it hears why, and listens only after the
  // start; then it gives no reason, with any runtime.
  const id = await pod.start('sleep 2; dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1; exit 3', { linux: { resources } });
  t.like(await pod.exited(id), { exit_code: 3 });
  await eventually('the reason', async () => (await pod.status(id)).reason === 'OOMKilled');
});

podTest('security: users, capabilities, privileges, read-only roots, masked paths, as with runc', async (t, start) => {
  const script = `grep -E '^(Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp):' /proc/self/status; cut -d ' ' -f 5 /proc/self/mountinfo | sort | sed 's/[0-9a-f]\\{64\\}/ID/'
    touch /x 2>/dev/null && echo written; ls /dev; cat /proc/self/oom_score_adj`;
  const contexts: Message[] = [
    {},
    { run_as_user: { value: 1000 }, run_as_group: { value: 1000 }, supplemental_groups: [5], no_new_privs: true, readonly_rootfs: true },
    { capabilities: { add_capabilities: ['NET_ADMIN'], drop_capabilities: ['CHOWN'] }, seccomp: { profile_type: 'RuntimeDefault' } },
  ];
  const seen: string[][] = [];
  for (const runtime of ['strata', 'runc']) {
    const pod = await start(runtime);
    const outputs: string[] = [];
    for (const security_context of contexts) {
      const id = await pod.start(script, { linux: { security_context } });
      t.is((await pod.exited(id)).exit_code, 0);
      outputs.push(await pod.log(id));
    }
    seen.push(outputs);
  }
  t.deepEqual(seen[0], seen[1]);
});

podTest('mounts, and namespaces that containers of a pod share', async (t, start) => {
  const pod = await start();
  const volume = pod.workspace.path('volume');
  fs.mkdirSync(volume);
  const mounts = [{ container_path: '/shared', host_path: volume }];
  const link = 'for name in ipc uts net; do readlink /proc/self/ns/$name; done >/shared/';
  const one = await pod.start(`${link}one; exec sleep 1000`, { mounts });
  const two = await pod.start(`${link}two; exec sleep 1000`, { mounts: [{ ...mounts[0], propagation: 'PROPAGATION_PRIVATE' }] });
  const of = (name: string): string[] => (fs.existsSync(join(volume, name)) ? fs.readFileSync(join(volume, name), 'utf8').trim().split('\n') : []);
  await eventually('both', () => of('one').length === 3 && of('two').length === 3);
  t.deepEqual(of('one'), of('two'));
  const readonly = await pod.start('touch /shared/x || exit 3', { mounts: [{ ...mounts[0], readonly: true }] });
  t.is((await pod.exited(readonly)).exit_code, 3);
  await pod.call('StopContainer', { container_id: one, timeout: 0 });
  t.is((await pod.exec(two, 'true')).code, 0);
});

podTest('a pod whose containers share their processes', async (t, start) => {
  const pod = await start('strata', { security_context: { namespace_options: { network: 'NODE', pid: 'POD', ipc: 'POD' } } });
  const context = { linux: { security_context: { namespace_options: { network: 'NODE', pid: 'POD', ipc: 'POD' } } } };
  const id = await pod.start('exec sleep 1000', context);
  const other = await pod.start('exec sleep 2000', context);
  t.regex((await pod.exec(id, 'ps')).stdout, /sleep 2000/);
  await pod.call('StopContainer', { container_id: other, timeout: 0 });
  t.like(await pod.status(other), { exit_code: 137 });
  t.is((await pod.exec(id, 'true')).code, 0);
});

if (missing.length === 0) {
  containerTest('when the daemon has ended, nothing is left of it', async (t) => {
    await containerd?.end();
    t.deepEqual(containerd?.leaks(), []);
  });
}
