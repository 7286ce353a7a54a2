import test from 'ava';
import { checkId, isId } from '../../../src/lifecycle/id.ts';

for (const id of ['a', 'A-b_c.d+e', '0', '...', '-x', 'x'.repeat(248)]) test(`'${id.slice(0, 20)}' is an id`, (t) => t.true(isId(id)));

for (const id of ['', '.', '..', 'a/b', '../x', 'a b', 'a\n', 'a\0', 'ä', 'x'.repeat(249), '@seccomp', 'a:b']) {
  test(`${JSON.stringify(id.slice(0, 20))} is no id`, (t) => {
    t.false(isId(id));
    const error = t.throws(() => checkId(id), { name: 'StrataError' });
    t.false(error?.message.includes('\n'));
  });
}
