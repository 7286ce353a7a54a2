/** What `npm run package` and `npm pack` make, installed where there is nothing else: no compiler, no npm, and no Node but where it is asked for. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import test from 'ava';
import { type Bundle, STRATA, type Workspace } from '../helpers/container.ts';
import { containerTest } from './_support.ts';

const top = resolve(import.meta.dirname, '../..');
const { version } = JSON.parse(fs.readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };
const isStatic = fs.readFileSync(STRATA).subarray(0, 2).toString() !== '#!';
/** Without QuickJS at build time the command is a script that starts Node. */
const staticTest = isStatic ? containerTest : (title: string) => test.skip(title, (t) => t.pass());

const directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'strata-package-')));
test.after.always(() => fs.rmSync(directory, { recursive: true, force: true }));
const prefix = join(directory, 'prefix');
/** In PATH in place of everything else: nothing, or Node alone. */
const nothing = join(directory, 'nothing');
const nodeOnly = join(directory, 'node');
/** Where the installed command looks for what it needs besides itself. */
const path = isStatic ? nothing : nodeOnly;
let archive = '';

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program with this environment and no other. */
function execute(file: string, args: readonly string[], env: Record<string, string>, cwd = directory): Outcome {
  try {
    return { code: 0, out: execFileSync(file, args, { env, cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }), err: '' };
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
    return { code: status, out: stdout, err: stderr };
  }
}

/** Makes the package in build/package and gives back where it is. */
function pack(): string {
  const out = execFileSync('bash', ['scripts/package.sh'], { cwd: top, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return join(top, out.trim().split('\n').at(-1) ?? '');
}

function digest(file: string): string {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}

/** Every file and link below a directory, relative to it. */
function files(below: string): string[] {
  return fs
    .readdirSync(below, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(below, join(entry.parentPath, entry.name)))
    .sort();
}

test.before(() => {
  for (const place of [prefix, nothing, nodeOnly]) fs.mkdirSync(place);
  fs.symlinkSync(process.execPath, join(nodeOnly, 'node'));
  archive = pack();
  execFileSync('tar', ['-C', prefix, '-xzf', archive, '--strip-components=1']);
});

/** `strata run` of an installed command. */
function runContainer(workspace: Workspace, bundle: Bundle, command: string, env: Record<string, string>): Outcome {
  return execute(command, ['--root', workspace.root, 'run', '--bundle', bundle.directory, workspace.id()], { ...env, STRATA_TEST: workspace.token });
}

// --- the archive -------------------------------------------------------------------------------------------------------------------------------

test('the archive is named for version and machine, and its digest lies beside it', (t) => {
  t.regex(archive, new RegExp(`/strata-${version.replaceAll('.', '\\.')}-linux-(amd64|arm64)\\.tar\\.gz$`));
  t.notThrows(() => execFileSync('sha256sum', ['--check', '--status', `${archive}.sha256`], { cwd: resolve(archive, '..') }));
});

test('the same build packed again is the same archive', (t) => {
  const before = digest(archive);
  t.is(digest(pack()), before);
});

test('everything in the archive belongs to root, and it has no entry for a directory that is not for strata alone', (t) => {
  const lines = execFileSync('tar', ['--numeric-owner', '-tvzf', archive], { encoding: 'utf8' }).trim().split('\n');
  const entries = lines.map((line) => /^(\S+) (\S+) +\d+ \S+ \S+ [^/]+\/(.*?)(?: -> .*)?$/.exec(line) ?? []);
  for (const [line = '', mode = '', owner, name = ''] of entries) {
    t.is(owner, '0/0', line);
    t.regex(mode, /^(drwxr-xr-x|-rwxr-xr-x|-rw-r--r--|l.*)$/, line);
    if (mode.startsWith('d')) t.regex(name, /^(lib|share\/doc)\/strata\//, line);
  }
  const names = entries.map(([, , , name = '']) => name.replace(/\/$/, ''));
  t.deepEqual(names, [...names].sort());
});

test('what is installed: the layout, and nothing that is of no use there', (t) => {
  const found = files(prefix);
  for (const name of [
    'bin/strata',
    'lib/strata/LICENSE',
    'lib/strata/bin/strata',
    'lib/strata/build/Release/strata.node',
    'lib/strata/dist/bin/strata.cjs',
    'lib/strata/dist/index.d.ts',
    'lib/strata/dist/index.js',
    'lib/strata/package.json',
    'share/bash-completion/completions/strata',
    'share/doc/strata/INSTALL',
    'share/doc/strata/docs/errors.md',
    'share/doc/strata/third-party.txt',
    'share/fish/vendor_completions.d/strata.fish',
    'share/man/man8/strata.8',
    'share/zsh/site-functions/_strata',
  ])
    t.true(found.includes(name), name);
  t.is(fs.readlinkSync(join(prefix, 'bin/strata')), '../lib/strata/bin/strata');
  t.deepEqual(
    found.filter((name) => /node_modules|node-path|compile-cache|\.tsbuildinfo$|\.tgz$|\.cpp$|lib\/strata\/(src|native|scripts|test)/.test(name)),
    [],
  );
});

test('nothing that is installed names the place where it was built', (t) => {
  for (const name of files(prefix)) t.false(fs.readFileSync(join(prefix, name)).includes(top), name);
});

test('the library imports nothing but what is installed', (t) => {
  const modules = files(join(prefix, 'lib/strata/dist')).filter((name) => name.endsWith('.js'));
  t.true(modules.length > 50);
  for (const name of modules) {
    const text = fs.readFileSync(join(prefix, 'lib/strata/dist', name), 'utf8');
    for (const [, from = ''] of text.matchAll(/^(?:import|export)\b.*? from '([^']+)';/gms)) {
      if (from.startsWith('node:')) continue;
      t.true(fs.existsSync(resolve(prefix, 'lib/strata/dist', name, '..', from)), `${name} imports ${from}`);
    }
  }
});

test('whose code is inside is told', (t) => {
  const text = fs.readFileSync(join(prefix, 'share/doc/strata/third-party.txt'), 'utf8');
  for (const name of ['commander', 'libseccomp', 'musl', ...(isStatic ? ['QuickJS'] : [])]) {
    const part = text.split(`\n${name}\n${'='.repeat(name.length)}\n`)[1]?.split(/\n=+\n/)[0] ?? '';
    t.regex(part, /copyright/i, name);
  }
});

// --- the command -------------------------------------------------------------------------------------------------------------------------------

containerTest('the installed command runs a container', async (t, workspace) => {
  const bundle = workspace.script('echo out; exit 7');
  for (const command of [join(prefix, 'bin/strata'), join(prefix, 'lib/strata/bin/strata')])
    t.deepEqual(runContainer(workspace, bundle, command, { PATH: path }), { code: 7, out: 'out\n', err: '' });
});

test('the installed command says of what build it is', (t) => {
  const { out } = execute(join(prefix, 'bin/strata'), ['--version'], { PATH: path });
  t.true(out.startsWith(`strata version ${version}\n`), out);
  t.true(out.includes(`\nhost: ${isStatic ? 'static' : 'node'}\n`), out);
});

staticTest('STRATA_HOST=node: the same on the Node in PATH', async (t, workspace) => {
  const env = { PATH: nodeOnly, STRATA_HOST: 'node' };
  t.regex(execute(join(prefix, 'bin/strata'), ['--version'], env).out, /^host: node$/m);
  const bundle = workspace.script('echo out; exit 7');
  t.deepEqual(runContainer(workspace, bundle, join(prefix, 'bin/strata'), env), { code: 7, out: 'out\n', err: '' });
});

test('without Node, what needs it says so', (t) => {
  const { code, out, err } = execute(join(prefix, 'bin/strata'), ['--version'], { PATH: nothing, STRATA_HOST: 'node' });
  t.is(code, 1);
  t.is(out, '');
  t.regex(err, /^strata: no Node\.js: .+ PATH\n$/);
});

// --- the library -------------------------------------------------------------------------------------------------------------------------------

/** Runs a container with the library, imported by this name, in a program of its own. */
function useLibrary(workspace: Workspace, name: string, cwd: string): Outcome {
  const bundle = workspace.script('echo from the library');
  const program = `
    import * as strata from ${JSON.stringify(name)};
    const [root, id, bundle] = process.argv.slice(1);
    await using container = await strata.run({ root, id, bundle, stdio: 'inherit' });
    console.log(await container.wait());
  `;
  const args = ['--input-type=module', '--eval', program, '--', workspace.root, workspace.id(), bundle.directory];
  return execute(process.execPath, args, { PATH: nothing, STRATA_TEST: workspace.token }, cwd);
}

containerTest('the installed library, by its path', async (t, workspace) => {
  const outcome = useLibrary(workspace, join(prefix, 'lib/strata/dist/index.js'), directory);
  t.deepEqual(outcome, { code: 0, out: 'from the library\n{ code: 0 }\n', err: '' });
});

// --- npm ---------------------------------------------------------------------------------------------------------------------------------------

/** What npm needs of the environment; without a registry, for nothing is to be fetched. */
function npm(cwd: string, ...args: string[]): string {
  const env = { PATH: process.env.PATH ?? '', HOME: directory, npm_config_cache: join(directory, 'cache') };
  return execFileSync('npm', [...args, '--offline', '--no-audit', '--no-fund', '--loglevel=error'], { cwd, env, encoding: 'utf8' });
}

containerTest('npm pack, npm install: the command, untouched, and the library', async (t, workspace) => {
  const project = join(directory, 'project');
  fs.mkdirSync(project);
  npm(top, 'pack', '--pack-destination', project);
  npm(project, 'init', '--yes');
  npm(project, 'install', `./strata-oci-${version}.tgz`);

  t.deepEqual(
    fs.readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['strata-oci'],
    'it needs no other package',
  );
  const command = join(project, 'node_modules/.bin/strata');
  t.is(digest(command), digest(STRATA));
  t.true((fs.statSync(command).mode & 0o111) === 0o111);
  const bundle = workspace.script('echo out; exit 7');
  t.deepEqual(runContainer(workspace, bundle, command, { PATH: path }), { code: 7, out: 'out\n', err: '' });
  t.deepEqual(useLibrary(workspace, 'strata-oci', project), { code: 0, out: 'from the library\n{ code: 0 }\n', err: '' });
});

containerTest('npm install of the installed directory gives a project the library', async (t, workspace) => {
  const project = join(directory, 'other');
  fs.mkdirSync(project);
  npm(project, 'init', '--yes');
  npm(project, 'install', join(prefix, 'lib/strata'));
  t.deepEqual(useLibrary(workspace, 'strata-oci', project), { code: 0, out: 'from the library\n{ code: 0 }\n', err: '' });
});
