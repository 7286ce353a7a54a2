import test from 'ava';
import { resolveUser } from '../../../src/image/user.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/sh
# a comment:x:1:1
daemon:x:2:2::/:/sbin/nologin
broken:x:minus one:2
app:x:1000:1001:app:/home/app:/bin/sh
1234:x:77:78::/:/bin/sh
huge:x:4294967296:0::/:
nobody:x:65534:65534`;
const GROUP = 'root:x:0:\nwheel:x:10:app,other\ndialout:x:20:other,app\napp:x:1001:\nkvm:x:36:application\nlast:x:4294967295:app';
const files = { passwd: () => PASSWD, group: () => GROUP };
const none = { passwd: () => undefined, group: () => undefined };

const cases: readonly (readonly [text: string, uid: number, gid: number, ...additional: number[]])[] = [
  ['', 0, 0],
  ['0', 0, 0],
  ['app', 1000, 1001, 10, 20],
  ['app:wheel', 1000, 10],
  ['app:5', 1000, 5],
  ['1000', 1000, 1001],
  ['1000:20', 1000, 20],
  ['1000:dialout', 1000, 20],
  ['4000', 4000, 0],
  ['1234', 77, 78],
  ['nobody', 65534, 65534],
];
for (const [text, uid, gid, ...additionalGids] of cases) {
  test(`user "${text}" is ${uid}:${gid}`, (t) => t.deepEqual(resolveUser(text, files), { uid, gid, additionalGids }));
}

const refused: Readonly<Record<string, RegExp>> = {
  'nobody-at-all': /no user "nobody-at-all"/,
  'app:nothing': /no group "nothing"/,
  broken: /no user "broken"/,
  huge: /no user "huge"/,
  ':10': /lacks a name/,
  'app:': /lacks a name/,
  '4294967295': /larger than/,
  '0:4294967296': /larger than/,
  '-1': /no user "-1"/,
  'app:wheel:more': /no group "wheel:more"/,
};
for (const [text, message] of Object.entries(refused)) {
  test(`user "${text}" is refused`, (t) => {
    const error = t.throws(() => resolveUser(text, files), { message });
    t.is((error as unknown as { code: string }).code, 'image-invalid');
  });
}

test('an image without passwd and group has users by number only, and no file is read for what needs none', (t) => {
  t.deepEqual(resolveUser('7', none), { uid: 7, gid: 0, additionalGids: [] });
  t.throws(() => resolveUser('root', none), { message: /no user "root"/ });
  const unread = { passwd: () => t.fail(), group: () => t.fail() } as unknown as typeof none;
  t.deepEqual(resolveUser('7:8', unread), { uid: 7, gid: 8, additionalGids: [] });
  t.deepEqual(resolveUser('', unread), { uid: 0, gid: 0, additionalGids: [] });
});
