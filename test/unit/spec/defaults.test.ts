import test from 'ava';
import { stringifyExact } from '../../../src/base/json.ts';
import { check } from '../../../src/spec/check.ts';
import { defaultSpec, OCI_VERSION } from '../../../src/spec/defaults.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import { missing, oracle } from './_schema.ts';

const facts = { lastCapability: 40, permitted: (1n << 41n) - 1n, bounding: (1n << 41n) - 1n };

for (const options of [{}, { rootless: true, uid: 1000, gid: 100 }]) {
  const name = JSON.stringify(options);
  test(`the default configuration passes every check without a warning: ${name}`, (t) => {
    const spec = loadSpec(stringifyExact(defaultSpec(options), 2));
    t.is(spec.ociVersion, OCI_VERSION);
    t.deepEqual(check(spec, facts), []);
  });
  const official = missing === undefined ? test : test.skip;
  official(`the official schema accepts the default configuration: ${name}${missing === undefined ? '' : ` (${missing})`}`, (t) => {
    t.true(oracle()(defaultSpec(options)));
  });
}

test('a rootless configuration has a user namespace and nothing that needs privileges outside it', (t) => {
  const { linux, mounts } = loadSpec(JSON.stringify(defaultSpec({ rootless: true, uid: 1000, gid: 100 })));
  t.deepEqual(linux.uidMappings, [{ containerID: 0, hostID: 1000, size: 1 }]);
  t.deepEqual(linux.gidMappings, [{ containerID: 0, hostID: 100, size: 1 }]);
  const types = linux.namespaces.map(({ type }) => type);
  t.true(types.includes('user') && !types.includes('network'));
  t.false(mounts.some(({ type, options }) => type === 'sysfs' || options.includes('gid=5')));
});
