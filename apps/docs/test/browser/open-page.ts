// A page of the site in Chromium, for tests: whatever goes wrong in it fails the test.
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright';
import { afterAll, afterEach, beforeAll, expect, inject } from 'vitest';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Opens pages in one browser per test file. */
export interface SiteBrowser {
  /**
   * Opens a page of the site.
   *
   * @param path its path, with its fragment
   * @param options size of the window, colour scheme
   * @param prepare gets the page before anything is loaded
   */
  open(
    path: string,
    options?: BrowserContextOptions,
    prepare?: (page: Page) => void,
  ): Promise<Page>;
}

/**
 * Starts a browser before the tests of a file. After each test its pages are closed, and nothing may
 * have been written to a console, thrown, or fetched from elsewhere.
 */
export function siteBrowser(): SiteBrowser {
  let browser: Browser;
  const faults: string[] = [];
  beforeAll(async () => {
    if (!existsSync(executablePath)) {
      throw new Error(`no Chromium at ${executablePath}: install it, or set CHROMIUM to its path`);
    }
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    expect(faults.splice(0)).toEqual([]);
  });
  afterAll(() => browser.close());
  return {
    async open(path, options = {}, prepare = () => undefined) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 900 },
        ...options,
      });
      const page = await context.newPage();
      // Nothing is timed: this only ends a wait for something that never happens, on a busy machine too.
      page.setDefaultTimeout(100_000);
      watch(page, faults);
      prepare(page);
      await page.goto(`${inject('siteUrl')}${path}`);
      return page;
    },
  };
}

function watch(page: Page, faults: string[]): void {
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`thrown: ${error.message}`));
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${response.status()}: ${response.url()}`);
  });
  page.on('request', (request) => {
    const own = request.url().startsWith(inject('siteUrl'));
    if (!own && !/^(?:data|blob):/.test(request.url())) faults.push(`fetched: ${request.url()}`);
  });
}
