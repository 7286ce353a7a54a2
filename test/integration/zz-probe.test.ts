import * as fs from 'node:fs';
import { containerTest } from './_support.ts';
import { eventually, withUserNamespace, withNamespace, withoutNamespaces, withAllCapabilities, type Edit } from '../helpers/container.ts';
containerTest('probe', async (t, w) => {
  const tried = async (name: string, script: string, edit: Edit = {}, args: string[] = [], options = {}, own = false) => {
    const b = w.script(script, edit);
    if (own) b.giveTo(100000);
    const r = await w.run(b, args, options);
    console.log(`== ${name}: ${r.code} ${r.signal ?? ''}\n${r.stdout.slice(0, 600)}${r.stderr.slice(0, 600)}`);
    const l = w.leaks(); if (l.length) console.log('LEAK', l);
  };
  await tried('oom', '', { process: { oomScoreAdj: -1000 } });
  await tried('sysctl bad', '', { linux: { sysctl: { 'net.ipv4.ip_forward': 'x' } } });
  await tried('kernel pid of other', '', { linux: { sysctl: { 'kernel.msgmax': '99999999999999999999' } } });
  await tried('device dir exists', '', (c) => { c.linux.devices = [{ path: '/etc', type: 'c', major: 1, minor: 3 }]; });
  await tried('mount file on dir', '', (c) => { c.mounts.push({ destination: '/etc', source: '/etc/hostname', options: ['bind'] }); });
  await tried('mount dir on file', '', (c) => { c.mounts.push({ destination: '/etc/passwd', source: '/etc', options: ['bind'] }); });
  await tried('mount under file', '', (c) => { c.mounts.push({ destination: '/etc/passwd/x', source: '/etc', options: ['bind'] }); });
  await tried('symlink loop', '', (c) => { c.mounts.push({ destination: '/proc/self/cwd/x', type: 'tmpfs' }); });
  await tried('join pid+kill', 'sleep 1 & echo hi', (c) => { withNamespace(c, 'pid', '/proc/self/ns/pid'); });
  await tried('background left, own pid ns', 'sleep 1000 & echo hi');
  await tried('background left, shared pid ns', 'sleep 1000 & echo hi', (c) => withoutNamespaces(c, 'pid'));
  await tried('setsid daemon left, shared', '(setsid sleep 1000 &) ; echo hi', (c) => withoutNamespaces(c, 'pid'));
  await tried('cgroup made below by container', 'mkdir /sys/fs/cgroup/pids/sub/deep -p; echo $$ >/sys/fs/cgroup/pids/sub/deep/cgroup.procs; cat /proc/self/cgroup | grep pids', (c) => { withAllCapabilities(c); for (const m of c.mounts) m.options = m.options?.filter((o) => o !== 'ro' || m.type !== 'cgroup') ?? []; });
  await tried('frozen by container', 'mkdir -p /sys/fs/cgroup/freezer/x; (sleep 1000) & echo $! > /sys/fs/cgroup/freezer/x/cgroup.procs; echo FROZEN >/sys/fs/cgroup/freezer/x/freezer.state; cat /sys/fs/cgroup/freezer/x/freezer.state', (c) => { withAllCapabilities(c); for (const m of c.mounts) m.options = m.options?.filter((o) => o !== 'ro' || m.type !== 'cgroup') ?? []; });
  await tried('frozen by container, shared pid', 'mkdir -p /sys/fs/cgroup/freezer/x; (sleep 1000) & echo $! > /sys/fs/cgroup/freezer/x/cgroup.procs; echo FROZEN >/sys/fs/cgroup/freezer/x/freezer.state; cat /sys/fs/cgroup/freezer/x/freezer.state', (c) => { withAllCapabilities(c); withoutNamespaces(c, 'pid'); for (const m of c.mounts) m.options = m.options?.filter((o) => o !== 'ro' || m.type !== 'cgroup') ?? []; });
  // host freezes the parent
  // delete of rootfs while running, bundle removed before delete
  { const b = w.script('sleep 1000'); const { id } = await w.start(b); fs.rmSync(b.directory, { recursive: true }); console.log((await w.state(id)).status); await w.remove(id); }
  // pause then start.sock
  { const b = w.script('echo started; sleep 1000'); const { id, stdout } = await w.create(b); await Promise.all([w.strata(['start', id]), w.strata(['start', id]), w.strata(['start', id])]).then((rs) => console.log('3 starts', rs.map((r) => `${r.code} ${r.stderr}`))); await eventually('s', () => stdout().includes('started')); console.log(stdout()); await Promise.all([w.strata(['delete', '-f', id]), w.strata(['delete', '-f', id]), w.strata(['kill', id, 'KILL'])]).then((rs) => console.log('deletes', rs.map((r) => `${r.code} ${r.stderr}`))); }
  { const b = w.script('sleep 1000'); const { id } = await w.start(b); const rs = await Promise.all([w.strata(['pause', id]), w.strata(['resume', id]), w.strata(['pause', id]), w.strata(['kill', id, 'KILL']), w.strata(['delete', '-f', id])]); console.log('mix', rs.map((r) => `${r.code} ${r.stderr}`)); }
  await tried('preserve fds dup', 'ls /proc/1/fd', {}, ['--preserve-fds', '0']);
  await tried('capabilities w/ newuser', 'grep Cap /proc/self/status', (c) => { withUserNamespace(c, 100000); withAllCapabilities(c); c.process.capabilities = { bounding: ['CAP_SYS_RESOURCE', 'CAP_CHOWN'], permitted: ['CAP_SYS_RESOURCE', 'CAP_CHOWN'], effective: ['CAP_SYS_RESOURCE', 'CAP_CHOWN'] }; }, [], {}, true);
});
