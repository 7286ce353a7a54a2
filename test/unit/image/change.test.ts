import test from 'ava';
import { changed } from '../../../src/image/change.ts';

const CONFIG = { Cmd: ['sh'], Env: ['PATH=/bin', 'A=1'], WorkingDir: '/srv/', Labels: { old: '1' }, Healthcheck: { Test: ['NONE'] } };

test('commands are lists or a line for the shell', (t) => {
  t.deepEqual(changed({}, ['CMD ["a", "b c"]', 'ENTRYPOINT exec "$0"']), { Cmd: ['a', 'b c'], Entrypoint: ['/bin/sh', '-c', 'exec "$0"'] });
  t.deepEqual(changed({}, ['cmd []']), { Cmd: [] });
});

test('a new entry point takes the old command away, unless there is a new one', (t) => {
  t.false('Cmd' in changed(CONFIG, ['ENTRYPOINT ["e"]']));
  t.deepEqual(changed(CONFIG, ['CMD ["c"]', 'ENTRYPOINT ["e"]'])['Cmd'], ['c']);
});

test('variables are replaced or added', (t) => {
  t.deepEqual(changed(CONFIG, ['ENV A=2 B="x y" C=\'$HOME\' D=a\\ b'])['Env'], ['PATH=/bin', 'A=2', 'B=x y', 'C=$HOME', 'D=a b']);
  t.deepEqual(changed(CONFIG, ['ENV A  more words '])['Env'], ['PATH=/bin', 'A=more words']);
});

test('labels, ports and volumes are added', (t) => {
  t.deepEqual(changed(CONFIG, ['LABEL new=2 "with space"=3'])['Labels'], { old: '1', new: '2', 'with space': '3' });
  t.deepEqual(changed({}, ['EXPOSE 80 53/udp'])['ExposedPorts'], { '80/tcp': {}, '53/udp': {} });
  t.deepEqual(changed({}, ['VOLUME ["/a b"]', 'VOLUME /c /d'])['Volumes'], { '/a b': {}, '/c': {}, '/d': {} });
});

test('a relative working directory is below the old one', (t) => {
  t.is(changed(CONFIG, ['WORKDIR data'])['WorkingDir'], '/srv/data');
  t.is(changed(CONFIG, ['WORKDIR /'])['WorkingDir'], '/');
  t.is(changed({}, ['USER 1000:100', 'WORKDIR x', 'STOPSIGNAL SIGINT'])['WorkingDir'], '/x');
});

test('what is not known stays, and the given configuration is not touched', (t) => {
  const before = structuredClone(CONFIG);
  t.deepEqual(changed(CONFIG, ['USER nobody']), { ...before, User: 'nobody' });
  t.deepEqual(CONFIG, before);
});

for (const [change, reason] of [
  ['RUN true', /must begin with one of CMD, ENTRYPOINT/],
  ['', /must begin/],
  ['CMD', /no value/],
  ['CMD ["a"', /not JSON/],
  ['CMD [1]', /not a list of strings/],
  ['ENV A', /no value/],
  ['ENV =x', /NAME=value/],
  ['ENV A="x', /" is not closed/],
  ['EXPOSE http', /not a port/],
  ['VOLUME data', /not an absolute path/],
  ['USER a b', /more than one value/],
] as const) {
  test(`refused: ${JSON.stringify(change)}`, (t) => {
    t.throws(() => changed({}, [change]), { message: reason, code: 'usage' });
  });
}
