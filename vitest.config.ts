import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defaultServerConditions } from 'vite';
import { defineConfig } from 'vitest/config';

// Siblings resolve to their sources, so that no test passes on a stale build.
const source = '@pinfold/source';
/** Compiled code of the processes that tests start: the command alone is 400 files. */
const compileCache = fileURLToPath(
  new URL('node_modules/.cache/pinfold/compiled', import.meta.url),
);

export default defineConfig({
  resolve: { conditions: [source, ...defaultClientConditions] },
  ssr: { resolve: { conditions: [source, ...defaultServerConditions] } },
  test: {
    // By default one core stays idle, which on two cores is half of them.
    maxWorkers: '100%',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'packages/*/test/**/*.test.ts',
            'apps/*/src/**/*.test.ts',
            'apps/*/test/**/*.test.ts',
            'tooling/test/**/*.test.ts',
          ],
          setupFiles: ['tooling/fail-on-console.ts'],
          // Files share the modules of their worker: nothing of ours keeps state in a module, and
          // what a test replaces is put back after it.
          isolate: false,
          restoreMocks: true,
          env: { NODE_COMPILE_CACHE: compileCache },
          // Nothing is timed: this only ends a test that hangs, on a slow machine too.
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        extends: true,
        test: {
          // The built site in Chromium; `npm run test:browser`.
          name: 'browser',
          include: ['apps/docs/test/browser/**/*.browser.ts'],
          globalSetup: ['apps/docs/test/browser/serve-site.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
