/** Bundles that others make out of images: skopeo and umoci. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { whyNoContainers } from '../helpers/container.ts';
import { IMAGE, missingPrograms } from '../helpers/engine.ts';
import { Podman } from '../helpers/podman.ts';
import { containerTest } from './_support.ts';

const missing = missingPrograms('podman', 'skopeo', 'umoci');
let podman: Podman | undefined;

function storage(): Podman {
  if (podman === undefined) throw new Error('podman has not been set up');
  return podman;
}

test.before(() => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  podman = new Podman();
  podman.importImage();
});
test.after.always(() => podman?.end());

const imageTest = missing.length === 0 ? containerTest : (title: string) => test.skip(`${title} (${missing.join(', ')} missing)`, (t) => t.pass());

imageTest('skopeo copies, umoci unpacks, strata runs the bundle as it is', async (t, workspace) => {
  const layout = workspace.path('layout');
  const bundle = workspace.path('bundle');
  const copied = await storage().execute(['skopeo', 'copy', '--quiet', storage().reference(IMAGE), `oci:${layout}:busybox`]);
  t.is(copied.code, 0, copied.stderr);
  execFileSync('umoci', ['unpack', '--image', `${layout}:busybox`, bundle], { stdio: 'pipe' });
  const { process } = JSON.parse(fs.readFileSync(join(bundle, 'config.json'), 'utf8')) as { process: { terminal: boolean; args: string[] } };
  t.true(process.terminal);
  t.deepEqual(process.args, ['/bin/sh']);

  const typed = 'echo "$FROM_IMAGE $(id -u) $$"; tty; touch /root/new; exit 7\n';
  const { code, stdout, stderr } = await workspace.strata(['run', '--bundle', bundle, workspace.id()], { stdin: typed });
  t.is(stderr, '');
  t.is(code, 7);
  t.regex(stdout, /^yes 0 1\r$/m);
  t.regex(stdout, /^\/dev\/pts\/0\r$/m);
  t.true(fs.existsSync(join(bundle, 'rootfs/root/new')));

  // What the container has changed becomes a layer.
  execFileSync('umoci', ['repack', '--image', `${layout}:changed`, bundle], { stdio: 'pipe' });
  const again = workspace.path('again');
  execFileSync('umoci', ['unpack', '--image', `${layout}:changed`, again], { stdio: 'pipe' });
  t.true(fs.existsSync(join(again, 'rootfs/root/new')));
});

imageTest('an unpacked image is a layer', async (t, workspace) => {
  const archive = workspace.path('archive');
  const layout = workspace.path('layout');
  const saved = await storage().run(['save', '--quiet', '--format', 'oci-archive', '--output', archive, IMAGE]);
  t.is(saved.code, 0, saved.stderr);
  const copied = await storage().execute(['skopeo', 'copy', '--quiet', `oci-archive:${archive}`, `oci:${layout}:busybox`]);
  t.is(copied.code, 0, copied.stderr);
  const unpacked = workspace.path('unpacked');
  execFileSync('umoci', ['raw', 'unpack', '--image', `${layout}:busybox`, unpacked], { stdio: 'pipe' });
  const before = execFileSync('tar', ['--sort=name', '-C', unpacked, '-cf', '-', '.'], { maxBuffer: 2 ** 28 });
  const [upper, work] = [workspace.path('upper'), workspace.path('work')];
  fs.mkdirSync(upper);
  fs.mkdirSync(work);
  await workspace.shell('echo hello >/root/new', (config) => {
    config.annotations = { 'dev.strata.overlay': JSON.stringify({ lower: [unpacked], upper, work }) };
  });
  t.deepEqual(fs.readdirSync(join(upper, 'root')), ['new']);
  t.true(before.equals(execFileSync('tar', ['--sort=name', '-C', unpacked, '-cf', '-', '.'], { maxBuffer: 2 ** 28 })));
});
