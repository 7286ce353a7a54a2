/** Network devices that move into a container (config-linux.md, Network Devices). */
import { execFileSync } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import { type Edit, type Workspace, withNamespace, withoutNamespaces, withUserNamespace } from '../../helpers/container.ts';
import { failed, unless } from '../_support.ts';

let pairs = 0;

/** What ip(8) says, or undefined if it refuses. */
function ip(...args: string[]): string | undefined {
  try {
    return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

interface Address {
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
}
interface Device {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly address: string;
  readonly addr_info: readonly Address[];
}

/** A device of the host as it is; undefined if there is none. */
function device(name: string): Device | undefined {
  const text = ip('-json', 'address', 'show', 'dev', name);
  return text === undefined ? undefined : (JSON.parse(text) as Device[])[0];
}

/** Can virtual devices be made here? */
const probe = `st${process.pid}`;
const able = ip('link', 'add', probe, 'type', 'veth') !== undefined;
if (able) ip('link', 'del', probe);
const LACKING = able ? undefined : 'needs ip(8), of iproute2, and a kernel with veth';

/** A test with a pair of virtual devices, which are gone afterwards. */
function deviceTest(title: string, body: (t: ExecutionContext, workspace: Workspace, one: string, other: string) => Promise<unknown>): void {
  unless(LACKING)(title, async (t, workspace) => {
    const one = `st${process.pid}a${++pairs}`;
    const other = `st${process.pid}b${pairs}`;
    ip('link', 'add', one, 'type', 'veth', 'peer', 'name', other);
    try {
      await body(t, workspace, one, other);
    } finally {
      for (const name of [one, other]) ip('link', 'del', name);
    }
  });
}

/** Two addresses that stay, one that does not, and one of the kernel's own. */
function configure(name: string): void {
  ip('link', 'set', name, 'up', 'mtu', '1400');
  ip('address', 'add', '192.0.2.7/24', 'broadcast', '192.0.2.255', 'dev', name);
  ip('address', 'add', '2001:db8::7/64', 'dev', name, 'nodad');
  ip('address', 'add', '198.51.100.7/32', 'dev', name, 'valid_lft', '1000', 'preferred_lft', '1000');
}

const move = (netDevices: Record<string, { name?: string }>): Edit => ({ linux: { netDevices } });
const SHOW = 'ip address show dev eth7';

deviceTest('a device moves with its permanent addresses, and is up', async (t, workspace, one, other) => {
  configure(one);
  const before = device(one);
  ip('link', 'set', other, 'up');
  const bundle = workspace.script(`${SHOW}; ip link show dev lo; ls /sys/class/net`, move({ [one]: { name: 'eth7' } }));
  const out = await workspace.output(bundle);
  t.regex(out, /eth7@\S+ <[^>]*\bUP\b[^>]*> mtu 1400/);
  t.true(out.includes(`link/ether ${before?.address}`));
  t.regex(out, /inet 192\.0\.2\.7\/24 brd 192\.0\.2\.255 scope global eth7/);
  t.regex(out, /inet6 2001:db8::7\/64 scope global/);
  t.notRegex(out, /198\.51\.100\.7/);
  t.regex(out, /\neth7\nlo\n/);
  // A virtual device goes with the namespace.
  t.is(device(one), undefined);
});

deviceTest('templates: the first number that is free', async (t, workspace, one, other) => {
  const out = await workspace.shell('ls /sys/class/net', move({ [one]: { name: 'net%d' }, [other]: { name: 'net%d' } }));
  t.deepEqual(out.split('\n'), ['lo', 'net0', 'net1']);
});

deviceTest('hooks find the device in the container, and its settings can be written', async (t, workspace, one) => {
  configure(one);
  const seen = workspace.path('seen');
  const bundle = workspace.script('cat /proc/sys/net/ipv4/conf/eth7/forwarding', (config) => {
    config.linux.netDevices = { [one]: { name: 'eth7' } };
    config.linux.sysctl = { 'net.ipv4.conf.eth7.forwarding': '1' };
    const path = '/bin/sh';
    config.hooks = {
      createRuntime: [{ path, args: ['sh', '-c', `nsenter -t $(sed 's/.*"pid":\\([0-9]*\\).*/\\1/') -n ip -o link show eth7 >${seen}`] }],
    };
    config.hooks.createRuntime?.forEach((hook) => {
      hook.env = [`PATH=${process.env.PATH}`];
    });
  });
  t.is(await workspace.output(bundle), '1\n');
  t.regex(execFileSync('cat', [seen], { encoding: 'utf8' }), /eth7.*\bUP\b/);
});

deviceTest('a device of a container with a user namespace', async (t, workspace, one) => {
  configure(one);
  const bundle = workspace.script(SHOW, move({ [one]: { name: 'eth7' } })).edit((config) => withUserNamespace(config, 100000));
  bundle.giveTo(100000);
  t.regex(await workspace.output(bundle), /inet 192\.0\.2\.7\/24[\s\S]*inet6 2001:db8::7\/64/);
});

deviceTest('a namespace that is joined keeps the device; a name that is taken there is an error', async (t, workspace, one, other) => {
  const name = `${workspace.token}ns`;
  ip('netns', 'add', name);
  try {
    const bundle = workspace.script(SHOW, move({ [one]: { name: 'eth7' } })).edit((config) => withNamespace(config, 'network', `/run/netns/${name}`));
    await workspace.output(bundle);
    t.truthy(ip('netns', 'exec', name, 'ip', 'link', 'show', 'dev', 'eth7'));
    bundle.edit(move({ [one]: undefined as unknown as object, [other]: { name: 'eth7' } }));
    ip('netns', 'exec', name, 'ip', 'link', 'del', 'eth7');
    ip('netns', 'exec', name, 'ip', 'link', 'add', 'eth7', 'type', 'veth');
    ip('link', 'add', other, 'type', 'veth');
    failed(t, await workspace.run(bundle), `config.json /linux/netDevices/${other}: `, 'eth7: file exists');
    t.is(device(other)?.ifname, other);
  } finally {
    ip('netns', 'del', name);
  }
});

deviceTest('whatever fails, devices are back as they were', async (t, workspace, one, other) => {
  configure(one);
  const before = device(one);
  const all = (name: string): unknown => {
    const found = device(name);
    // Those that stay; the kernel makes the link-local one anew.
    return (
      found && {
        ...found,
        addr_info: found.addr_info
          .filter(({ scope, local }) => scope === 'global' && local !== '198.51.100.7')
          .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
          .sort(),
      }
    );
  };
  const expected = all(one) as { flags: string[]; ifindex?: number };
  t.truthy(before);
  const same = (what: string): void => {
    const now = all(one) as { flags: string[]; ifindex?: number };
    t.true(now.flags.includes('UP'), what);
    t.deepEqual({ ...now, flags: [], ifindex: 0, operstate: '' } as object, { ...expected, flags: [], ifindex: 0, operstate: '' } as object, what);
  };
  const named = { [one]: { name: 'eth7' } };
  const attempts: [what: string, edit: Edit, words: RegExp][] = [
    [
      'no such device',
      move({ ...named, nosuch: {} }),
      /netDevices\/nosuch: cannot move the network device nosuch into the container: no such device/,
    ],
    ['a clash', move({ ...named, [other]: { name: 'lo' } }), /lo: file exists \(the network namespace of the container has a device of this name/],
    ['one that must stay', move({ ...named, lo: { name: 'eth8' } }), /netDevices\/lo: .*does not let this device leave/],
    ['a later mount', { mounts: [{ destination: '/x', type: 'nosuchfs' }], ...(move(named) as object) }, /nosuchfs/],
    ['the program', { process: { args: ['nosuch'] }, ...(move(named) as object) }, /executable file not found/],
    ['a hook', { hooks: { createRuntime: [{ path: '/bin/false' }] }, ...(move(named) as object) }, /createRuntime hook/],
    ['a later hook', { hooks: { createContainer: [{ path: '/bin/false' }] }, ...(move(named) as object) }, /createContainer hook/],
  ];
  for (const [what, edit, words] of attempts) {
    failed(t, await workspace.run(workspace.bundle(edit)), words);
    same(what);
    failed(t, await workspace.strata(['create', '--bundle', workspace.bundle(edit).directory, workspace.id()]), words);
    same(`${what}, with create`);
  }
  const bundle = workspace.bundle(move(named));
  failed(
    t,
    await workspace.run(bundle.edit((config) => withoutNamespaces(config, 'network'))),
    '/linux/netDevices: needs a namespace of type network',
  );
  failed(
    t,
    await workspace.run(bundle.edit((config) => withNamespace(config, 'network', `/proc/${process.pid}/ns/net`))),
    "the runtime's own network namespace",
  );
  same('no namespace of its own');
});
