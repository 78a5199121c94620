// Every page of the site: on two widths, light and dark, for a reader and for axe.
import { globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright';
import { beforeAll, describe, expect, test } from 'vitest';
import { siteBrowser } from './open-page.ts';

const root = join(import.meta.dirname, '../..');
const dist = join(root, 'dist');
const screenshots = join(root, 'screenshots');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const WIDTHS = { wide: 1280, phone: 360 };
/** Taller pages are cut at the height of the window. */
const MAX_HEIGHT = 12_000;
/** Script that the first page may load, in bytes as compressed. */
const MAX_SCRIPT = 300_000;

/** Pages of thousands of lines by one generator; the smallest stands for all before axe. */
const MADE_ALIKE = /^\/reference\/api\/(?!iommu\/)/;

/** State in which a page has most to show. */
const FRAGMENTS: Readonly<Record<string, string>> = {
  '/interactive/break-it/': '#algorithm=hugetlb-v1-2025',
};

const paths = globSync('**/index.html', { cwd: dist })
  .map((file) => `/${dirname(file)}/`.replace('/./', '/'))
  .sort();
const htmlOf = (path: string): string => readFileSync(join(dist, path, 'index.html'), 'utf8');

const site = siteBrowser();

/** What axe finds serious or critical, as `rule: element`. */
async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = await page.evaluate<AxeResults>(
    `axe.run({ resultTypes: ['violations'] })`,
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}

/** Nothing of a page may be wider than the window, but for what scrolls by itself. */
const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

async function show(page: Page, width: number, colorScheme: 'light' | 'dark'): Promise<void> {
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme });
  await page.locator(`html[data-theme=${colorScheme}]`).waitFor({ state: 'attached' });
}

async function capture(page: Page, path: string, name: string): Promise<void> {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const file = path === '/' ? 'start' : path.slice(1, -1).replaceAll('/', '-');
  await page.screenshot({
    path: join(screenshots, `${file}-${name}.png`),
    fullPage: height < MAX_HEIGHT,
  });
}

beforeAll(() => {
  rmSync(screenshots, { recursive: true, force: true });
  mkdirSync(screenshots, { recursive: true });
});

describe.each(paths)('%s', (path) => {
  test('can be read on both widths, light and dark', async () => {
    const page = await site.open(`${path}${FRAGMENTS[path] ?? ''}`, { colorScheme: 'light' });
    await page.waitForLoadState('networkidle');
    if (path.startsWith('/interactive/'))
      await page.locator('.details, .shown, [data-ready="true"]').first().waitFor();
    for (const [name, width] of Object.entries(WIDTHS)) {
      for (const scheme of ['light', 'dark'] as const) {
        await show(page, width, scheme);
        expect(await overflow(page)).toBeLessThanOrEqual(0);
        await capture(page, path, `${name}-${scheme}`);
        // Each width and each scheme once.
        if (MADE_ALIKE.test(path) || (name === 'wide') !== (scheme === 'light')) continue;
        expect(await faultsOf(page)).toEqual([]);
      }
    }
  });

  test('links to what there is', () => {
    const targets = [...htmlOf(path).matchAll(/<a [^>]*href="([^"]*)"/g)].map(([, to = '']) => to);
    const own = targets.filter((to) => !/^(?:https?|mailto):/.test(to));
    expect(
      own.filter((to) => !exists(new URL(to.replaceAll('&#38;', '&'), `http://site${path}`))),
    ).toEqual([]);
  });
});

/** Whether a page of the site has the heading, or the state is the page's own. */
function exists({ pathname, hash }: URL): boolean {
  if (!paths.includes(pathname)) return globSync(pathname.slice(1), { cwd: dist }).length > 0;
  const id = decodeURIComponent(hash.slice(1));
  return (
    id === '' || pathname.startsWith('/interactive/') || htmlOf(pathname).includes(` id="${id}"`)
  );
}

test('the first page needs little script, and leads to the rest in a click', async () => {
  const sizes: Promise<number>[] = [];
  const page = await site.open('/', {}, (opened) => {
    opened.on('response', (response) => {
      if (response.request().resourceType() === 'script') {
        sizes.push(response.body().then((body) => gzipSync(body).length));
      }
    });
  });
  await page.waitForLoadState('networkidle');
  const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThan(MAX_SCRIPT);

  const interactive = paths.filter((path) => /^\/interactive\/./.test(path));
  expect(interactive.length).toBeGreaterThan(1);
  for (const path of [...interactive, '/guide/own-algorithm/']) {
    await expect(page.locator(`main a[href="${path}"]`).count()).resolves.toBeGreaterThan(0);
  }
});
