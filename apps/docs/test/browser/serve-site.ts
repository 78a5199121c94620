// Serves the built site while the browser tests run.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { preview } from 'astro';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the site is served, without a slash at the end. */
    readonly siteUrl: string;
  }
}

const root = join(import.meta.dirname, '../..');

export default async function serveSite(project: TestProject): Promise<() => Promise<void>> {
  if (!existsSync(join(root, 'dist/index.html'))) {
    throw new Error('the site is not built: npm run test:browser builds it first');
  }
  const server = await preview({ root, logLevel: 'warn', server: { host: '127.0.0.1', port: 0 } });
  project.provide('siteUrl', `http://127.0.0.1:${server.port}`);
  return () => server.stop();
}
