import test from 'ava';
import { choose, parsePlatform, platformFits, platformText } from '../../../src/image/platform.ts';
import type { Descriptor, Platform } from '../../../src/image/types.ts';

function manifest(platform: string | undefined, size = 1): Descriptor {
  const fields = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${'a'.repeat(64)}`, size };
  return platform === undefined ? fields : { ...fields, platform: parsePlatform(platform) };
}

test('a platform is read as people write it', (t) => {
  t.deepEqual(parsePlatform('linux/amd64'), { os: 'linux', architecture: 'amd64' });
  t.deepEqual(parsePlatform('aarch64'), { os: 'linux', architecture: 'arm64' });
  t.deepEqual(parsePlatform('Linux/ARM/v7'), { os: 'linux', architecture: 'arm', variant: 'v7' });
  t.is(platformText(parsePlatform('linux/arm/v6')), 'linux/arm/v6');
  for (const wrong of ['', 'a/b/c/d', 'linux/', 'linux amd64']) t.throws(() => parsePlatform(wrong), { code: 'usage' });
});

for (const [wanted, offered, fits] of [
  ['linux/amd64', 'linux/amd64', true],
  ['linux/amd64', 'linux/x86_64', true],
  ['linux/amd64', 'linux/arm64', false],
  ['linux/amd64', 'windows/amd64', false],
  ['linux/amd64', 'linux/amd64/v3', false],
  ['linux/amd64/v3', 'linux/amd64', true],
  ['linux/arm64', 'linux/arm64/v8', true],
  ['linux/arm', 'linux/arm/v6', true],
  ['linux/arm/v6', 'linux/arm/v7', false],
  ['linux/riscv64', 'linux/riscv64', true],
] as const) {
  test(`an image for ${offered} ${fits ? 'runs' : 'does not run'} on ${wanted}`, (t) => {
    t.is(platformFits(parsePlatform(wanted), parsePlatform(offered)), fits);
  });
}

test('of an index the best is taken, of equal ones the first', (t) => {
  const wanted: Platform = parsePlatform('linux/arm/v7');
  const all = [manifest('linux/amd64'), manifest('linux/arm/v5'), manifest('linux/arm/v6'), manifest('linux/arm/v6', 2)];
  t.deepEqual(choose(all, wanted), [all[2]]);
  t.deepEqual(choose([...all, manifest('linux/arm/v7', 3)], wanted)[0]?.size, 3);
  t.deepEqual(choose(all, parsePlatform('linux/s390x')), []);
  t.is(choose([manifest(undefined), manifest(undefined)], wanted).length, 2);
});
