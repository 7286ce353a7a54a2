/** `checkpoint` and `restore` of containers made of images, in their place in the store and as copies. Archives: checkpoint-archives.test.ts. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../helpers/container.ts';
import { CRIU_PATH } from '../helpers/criu.ts';
import { Screen } from '../helpers/screen.ts';
import { COUNTS, imageTest, isWhole, Place } from './_checkpoint.ts';
import { failed } from './_support.ts';

imageTest('in its place: keeper, log and exit go on; a start makes it worthless', async (t, workspace) => {
  const place = new Place(workspace);
  const id = workspace.id();
  await place.run(id, COUNTS);
  await place.grows(id);
  await place.strata('checkpoint', id);
  t.true(fs.existsSync(place.path(id, 'checkpoint', 'descriptors.json')));
  t.is((JSON.parse(await place.strata('state', id)) as { status: string }).status, 'stopped');
  const before = (await place.counts(id)).length;
  await place.strata('restore', '--detach', id);
  await place.grows(id);
  t.true(isWhole(await place.counts(id)));
  t.true((await place.counts(id)).length > before);
  t.is((await place.strata('exec', id, 'cat', '/tmp/f')).trim(), 'written');
  failed(t, await place.try(['restore', '--detach', id]), 'running');
  await place.strata('stop', id);
  t.is(await place.strata('wait', id), '5\n');
  t.like(JSON.parse(fs.readFileSync(place.path(id, 'exit.json'), 'utf8')), { code: 5 });
  failed(t, await place.try(['restore', '--detach', id]), 'has no checkpoint');

  await place.strata('start', id);
  await place.grows(id);
  await place.strata('checkpoint', id);
  await place.strata('start', id);
  t.false(fs.existsSync(place.path(id, 'checkpoint')));
  failed(t, await place.try(['checkpoint', '--pre-dump', id]), '--image-path');
  failed(t, await place.try(['checkpoint', '--leave-running', id]), '--export or --image-path');
  failed(t, await place.try(['checkpoint', '--compress', 'gzip', id]), '--compress needs --export');
  await place.strata('delete', '--force', id);
  place.clean(t);
});

imageTest('--leave-running: a copy beside it; one that is removed at its end', async (t, workspace) => {
  const place = new Place(workspace);
  const [id, copy] = [workspace.id(), workspace.id()];
  const archive = workspace.path('archive');
  await place.run(id, COUNTS, '--rm');
  await place.grows(id);
  failed(t, await place.try(['checkpoint', id]), 'deleted when it ends', '--leave-running');
  failed(t, await place.try(['checkpoint', '--export', archive, id]), 'deleted when it ends');
  failed(t, await place.try(['checkpoint', '--image-path', workspace.path('images'), id]), 'deleted when it ends');
  t.false(fs.existsSync(archive));
  await place.strata('checkpoint', '--leave-running', '--export', archive, id);
  await place.strata('restore', '--detach', '--import', archive, copy);
  await place.grows(id);
  await place.grows(copy);
  t.true(isWhole(await place.counts(id)));
  for (const name of [id, copy]) await place.strata('stop', name);
  for (const name of [id, copy]) await workspace.gone(name);
  t.deepEqual(fs.readdirSync(join(place.store, 'containers')), []);
  place.clean(t);
});

imageTest('a terminal in the background, and in front of the caller', async (t, workspace) => {
  const place = new Place(workspace);
  const id = workspace.id();
  await place.run(id, 'stty -echo; echo ready; while read -r line; do echo "<$line>"; done; exit 3', '--tty', '--interactive');
  await eventually('it to be ready', async () => (await place.counts(id)).includes('ready'));
  await place.strata('checkpoint', id);
  await place.strata('restore', '--detach', id);
  const screen = new Screen(workspace, `$STRATA --store ${place.store} attach ${id}`);
  await eventually('an answer', async () => {
    screen.type('hello\n');
    return screen.seen.includes('<hello>');
  });
  await place.strata('checkpoint', id);
  const front = new Screen(workspace, `PATH=${CRIU_PATH} $STRATA --store ${place.store} restore ${id}`);
  await eventually('an answer', async () => {
    front.type('again\n');
    return front.seen.includes('<again>');
  });
  // Whoever is in front leaves the next checkpoint where it is.
  await place.strata('checkpoint', id);
  t.is(await front.end(), 137);
  const once = new Screen(workspace, `PATH=${CRIU_PATH} $STRATA --store ${place.store} restore ${id}`);
  await eventually('an answer', async () => {
    once.type('more\n');
    return once.seen.includes('<more>');
  });
  t.false(fs.existsSync(place.path(id, 'checkpoint')));
  once.type('\x04');
  t.is(await once.end(), 3);
  t.like(JSON.parse(fs.readFileSync(place.path(id, 'exit.json'), 'utf8')), { code: 3 });
  await place.strata('delete', id);
});
