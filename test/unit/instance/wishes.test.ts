import test from 'ava';
import {
  cpusWish,
  deviceWish,
  entrypointWish,
  environmentLines,
  limitWish,
  logWish,
  networkWish,
  sizeWish,
  tmpfsMount,
  volumeWish,
} from '../../../src/instance/wishes.ts';

test('volumes', (t) => {
  const plain = { readonly: false, options: [], copy: true };
  t.deepEqual(volumeWish('/data'), { ...plain, destination: '/data' });
  t.deepEqual(volumeWish('/srv:/data'), { ...plain, source: '/srv', destination: '/data' });
  t.deepEqual(volumeWish('/srv:/data:ro,noexec'), { ...plain, source: '/srv', destination: '/data', readonly: true, options: ['noexec'] });
  t.deepEqual(volumeWish('name:/data:nocopy'), { ...plain, source: 'name', destination: '/data', copy: false });
  for (const text of ['data', 'a:b', '/a:/b:ro:more', './a:/b', '../a:/b', 'a/b:/c', ':/b', '/a:/b:rx', '/a:/b:', '-a:/b', '..:/b']) {
    t.throws(() => volumeWish(text), { name: 'StrataError' }, text);
  }
});

test('tmpfs', (t) => {
  t.deepEqual(tmpfsMount('/run'), { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec'] });
  t.deepEqual(tmpfsMount('/run:size=1m,exec').options, ['nosuid', 'nodev', 'noexec', 'size=1m', 'exec']);
  for (const text of ['run', '/run:', '/run:a,,b', '']) t.throws(() => tmpfsMount(text), { name: 'StrataError' }, text);
});

test('devices', (t) => {
  t.deepEqual(deviceWish('/dev/fuse'), { source: '/dev/fuse', destination: '/dev/fuse', access: 'rwm' });
  t.deepEqual(deviceWish('/dev/a:/dev/b'), { source: '/dev/a', destination: '/dev/b', access: 'rwm' });
  t.deepEqual(deviceWish('/dev/a:r'), { source: '/dev/a', destination: '/dev/a', access: 'r' });
  t.deepEqual(deviceWish('/dev/a:/dev/b:rw'), { source: '/dev/a', destination: '/dev/b', access: 'rw' });
  for (const text of ['fuse', '/dev/a:b', '/dev/a:/dev/b:x', '/dev/a:/dev/b:r:w', '/dev/a:/dev/b:', '']) {
    t.throws(() => deviceWish(text), { name: 'StrataError' }, text);
  }
});

test('limits', (t) => {
  t.deepEqual(limitWish('nofile=1024:2048'), { type: 'RLIMIT_NOFILE', soft: 1024n, hard: 2048n });
  t.deepEqual(limitWish('core=-1'), { type: 'RLIMIT_CORE', soft: 2n ** 64n - 1n, hard: 2n ** 64n - 1n });
  t.deepEqual(limitWish('NPROC=5:unlimited'), { type: 'RLIMIT_NPROC', soft: 5n, hard: 2n ** 64n - 1n });
  for (const text of ['nofile', 'nofile=', 'none=1', 'nofile=2:1', 'nofile=1:2:3', 'nofile=0x1', 'core=18446744073709551616', '=1']) {
    t.throws(() => limitWish(text), { name: 'StrataError' }, text);
  }
});

test('networks', (t) => {
  t.is(networkWish('host'), 'host');
  t.is(networkWish('none'), 'none');
  t.deepEqual(networkWish('ns:/run/netns/a'), { path: '/run/netns/a' });
  for (const text of ['bridge', 'ns:', 'ns:a', '']) t.throws(() => networkWish(text), { name: 'StrataError' }, text);
});

test('sizes and processors', (t) => {
  t.is(sizeWish('512'), 512);
  t.is(sizeWish('1k'), 1024);
  t.is(sizeWish('1.5M'), 1_572_864);
  t.is(sizeWish('2GiB'), 2 ** 31);
  t.is(sizeWish('64mb'), 2 ** 26);
  for (const text of ['', '-1', '1x', 'm', '1e3', '99999999t']) t.throws(() => sizeWish(text), { name: 'StrataError' }, text);
  t.is(cpusWish('1.5'), 150_000);
  t.is(cpusWish('0.01'), 1000);
  for (const text of ['', '0', '-1', '0.001', 'NaN', '1000000']) t.throws(() => cpusWish(text), { name: 'StrataError' }, text);
});

test('entrypoints', (t) => {
  t.deepEqual(entrypointWish(''), []);
  t.deepEqual(entrypointWish('/bin/a b'), ['/bin/a b']);
  t.deepEqual(entrypointWish('["/bin/a","b"]'), ['/bin/a', 'b']);
  for (const text of ['[', '[1]', '[["a"]]']) t.throws(() => entrypointWish(text), { name: 'StrataError' }, text);
});

test('files of variables', (t) => {
  t.deepEqual(environmentLines('# c\nA=1\n\n  B= 2 \r\nC\n', 'f'), ['A=1', 'B= 2 ', 'C']);
  t.throws(() => environmentLines('A=1\nB C=2\n', 'f'), { message: /f, line 2/ });
  t.throws(() => environmentLines('=2\n', 'f'), { message: /f, line 1/ });
});

test('logs', (t) => {
  t.deepEqual(logWish('none', []).driver, 'none');
  t.deepEqual(logWish('json-file', ['max-size=1m', 'max-file=2']), { driver: 'json-file', maxSize: 2 ** 20, maxFile: 2 });
  for (const [driver, option] of [
    ['syslog'],
    ['none', 'max-file=1'],
    ['json-file', 'max-file=0'],
    ['json-file', 'max-size='],
    ['json-file', 'tag=x'],
  ]) {
    t.throws(() => logWish(driver as string, option === undefined ? [] : [option]), { name: 'StrataError' });
  }
  t.throws(() => logWish('json-file', ['max-size=1x']), { message: /"max-size=1x"/ });
});
