// The tests are TypeScript as it stands: Node strips the types.
export default {
  files: ['test/unit/**/*.test.ts', 'test/integration/**/*.test.ts', 'test/conformance/**/*.test.ts'],
  extensions: ['ts'],
  workerThreads: false,
  timeout: '5m',
  // What failed last is not kept: a guest sees node_modules read-only, and under SELinux cannot make a directory over it.
  cache: false,
};
