import test from 'ava';
import fc from 'fast-check';
import type { StrataError } from '../../../src/base/error.ts';
import { hasCode, messageOf } from '../../../src/base/fault.ts';
import { parseDockerItems, parseImageConfig, parseIndex, parseLayout, parseManifest } from '../../../src/image/parse.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const OTHER = `sha512:${'b'.repeat(128)}`;
const CONFIG = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: DIGEST, size: 10 };
const LAYER = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: OTHER, size: 20 };
const MANIFEST = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: CONFIG, layers: [LAYER] };
const IMAGE = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [DIGEST] } };

test('a manifest of OCI and of Docker', (t) => {
  const { config, layers, annotations } = parseManifest(JSON.stringify({ ...MANIFEST, future: { x: 1 }, subject: null }), 'm');
  t.deepEqual([config, layers, annotations], [CONFIG, [LAYER], {}]);
  const docker = {
    ...MANIFEST,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: { ...CONFIG, mediaType: 'application/vnd.docker.container.image.v1+json' },
  };
  t.is(parseManifest(JSON.stringify(docker), 'm').mediaType, docker.mediaType);
});

test('an index may leave its media type out', (t) => {
  const platform = { architecture: 'amd64', os: 'linux', 'os.version': '' };
  const index = parseIndex(JSON.stringify({ schemaVersion: 2, manifests: [{ ...CONFIG, platform, data: 'e30=' }] }), 'i');
  t.is(index.mediaType, 'application/vnd.oci.image.index.v1+json');
  t.deepEqual(index.manifests[0]?.platform, { architecture: 'amd64', os: 'linux' });
  t.is(index.manifests[0]?.data, 'e30=');
});

test('a configuration with everything, and with nulls as Docker writes them', (t) => {
  const config = {
    User: 'kim',
    Env: ['A=b'],
    Entrypoint: null,
    Cmd: ['sh'],
    Volumes: { '/data': {}, '/more': null },
    ExposedPorts: { '80/tcp': {} },
    WorkingDir: '',
    Labels: null,
    StopSignal: 'SIGQUIT',
    Healthcheck: { Test: ['x'] },
  };
  const read = parseImageConfig(JSON.stringify({ ...IMAGE, config, history: [{ created_by: 'x', empty_layer: true }] }), 'c');
  t.deepEqual(read.config, { User: 'kim', Env: ['A=b'], Cmd: ['sh'], Volumes: ['/data', '/more'], ExposedPorts: ['80/tcp'], StopSignal: 'SIGQUIT' });
  t.deepEqual(read.diffIds, [DIGEST]);
  t.deepEqual(read.history, [{ created_by: 'x', empty_layer: true }]);
  t.deepEqual(parseImageConfig(JSON.stringify({ ...IMAGE, config: null }), 'c').config, {});
});

test('the other documents', (t) => {
  t.deepEqual(parseLayout('{"imageLayoutVersion":"1.0.0"}', 'oci-layout'), { imageLayoutVersion: '1.0.0' });
  t.deepEqual(parseDockerItems('[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"]}]', 'manifest.json'), [
    { config: 'c.json', repoTags: [], layers: ['a/layer.tar'] },
  ]);
});

const deep = '['.repeat(100_000);
for (const [name, parse, text, message] of [
  ['no JSON', parseManifest, '{"a":', /^doc \(document\): not valid JSON: .* \(line 1, column 6\)/],
  ['no object', parseManifest, '[]', /^doc \(document\): expected an object/],
  ['nesting', parseIndex, deep, /^doc .*(nested|deep)/],
  ['another version', parseManifest, JSON.stringify({ ...MANIFEST, schemaVersion: 1 }), /^doc \/schemaVersion: expected 2, found 1$/],
  ['an index for a manifest', parseManifest, JSON.stringify({ ...MANIFEST, mediaType: 'application/vnd.oci.image.index.v1+json' }), /\/mediaType: /],
  ['a negative size', parseManifest, JSON.stringify({ ...MANIFEST, config: { ...CONFIG, size: -1 } }), /^doc \/config\/size: expected an integer/],
  ['a size that is no integer', parseManifest, JSON.stringify({ ...MANIFEST, config: { ...CONFIG, size: 1.5 } }), /\/config\/size: /],
  ['a size beyond all files', parseManifest, JSON.stringify(MANIFEST).replace('"size":20', '"size":18446744073709551615'), /\/layers\/0\/size: /],
  [
    'a short digest',
    parseManifest,
    JSON.stringify({ ...MANIFEST, layers: [{ ...LAYER, digest: 'sha256:ab' }] }),
    /\/layers\/0\/digest: expected a digest/,
  ],
  [
    'a digest that is a path',
    parseIndex,
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...CONFIG, digest: 'sha256:../../x' }] }),
    /\/manifests\/0\/digest: /,
  ],
  [
    'an artifact',
    parseManifest,
    JSON.stringify({ ...MANIFEST, config: { ...CONFIG, mediaType: 'application/vnd.x+json' } }),
    /\/config: is not the configuration/,
  ],
  ['too many layers', parseManifest, JSON.stringify({ ...MANIFEST, layers: Array(501).fill(LAYER) }), /\/layers: 501 layers are more than the 500/],
  ['no architecture', parseImageConfig, JSON.stringify({ ...IMAGE, architecture: undefined }), /^doc \/architecture: required/],
  ['a diff id of sha512', parseImageConfig, JSON.stringify({ ...IMAGE, rootfs: { type: 'layers', diff_ids: [OTHER] } }), /\/rootfs\/diff_ids\/0: /],
  ['another kind of root', parseImageConfig, JSON.stringify({ ...IMAGE, rootfs: { type: 'x' } }), /\/rootfs\/type: expected "layers"/],
  ['NUL in the environment', parseImageConfig, JSON.stringify({ ...IMAGE, config: { Env: ['A=\0'] } }), /\/config\/Env\/0: must not contain a NUL/],
  ['a list for volumes', parseImageConfig, JSON.stringify({ ...IMAGE, config: { Volumes: ['/a'] } }), /\/config\/Volumes: expected an object/],
  ['another layout', parseLayout, '{"imageLayoutVersion":"2.0.0"}', /\/imageLayoutVersion: expected version 1.0.0/],
  ['an object for a list', parseDockerItems, '{}', /^doc \(document\): expected an array/],
] as const) {
  test(`refuses ${name}`, (t) => {
    const error = t.throws<StrataError>(() => parse(text, 'doc'), { code: 'image-invalid' });
    t.regex(error?.message ?? '', message);
  });
}

/** The documents above, each with one value put in the place of another. */
test('whatever stands in a document, it is read or refused', (t) => {
  const documents = [
    [parseManifest, MANIFEST],
    [parseIndex, { schemaVersion: 2, manifests: [{ ...CONFIG, platform: { architecture: 'amd64', os: 'linux' } }] }],
    [parseImageConfig, { ...IMAGE, config: { Env: ['A=b'], Volumes: { '/a': {} }, Labels: { a: 'b' } }, history: [{ created_by: 'x' }] }],
    [parseDockerItems, [{ Config: 'c.json', RepoTags: ['a:b'], Layers: ['l.tar'] }]],
  ] as const;
  const replaced = (value: unknown, at: number, by: unknown): unknown => {
    let count = 0;
    const visit = (item: unknown): unknown => {
      if (count++ === at) return by;
      if (Array.isArray(item)) return item.map(visit);
      if (typeof item !== 'object' || item === null) return item;
      return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, visit(inner)]));
    };
    return visit(value);
  };
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.nat(20), fc.jsonValue(), ([parse, document], at, by) => {
      try {
        parse(JSON.stringify(replaced(document, at, by)), 'doc');
      } catch (error) {
        if (!hasCode(error, 'image-invalid') || /[\n\0]/.test(messageOf(error))) throw error;
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
