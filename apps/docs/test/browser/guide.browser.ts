// The guide: every page shows, in its code blocks and lists, the lines that its text is about.
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { siteBrowser } from './open-page.ts';

const site = siteBrowser();

/** What a page has to show, each as one line of a code block or one item of a list. */
const LINES: Readonly<Record<string, readonly RegExp[]>> = {
  '/guide/one-map/': [
    /^ +iommu_map\(\) \{/,
    /^ +unpin_user_page_range_dirty_lock\(\);/,
    /^ *5 +map .* 1,024 +4,096 /,
  ],
  '/guide/folios/': [
    /^S4 +4k: no two neighbours adjacent$/,
    /^VFIO_IOMMU_MAP_DMA of 4k, S4, 64M/,
    /^VFIO_IOMMU_UNMAP_DMA of thp, H2, 64M/,
    /^batched +[\d,]+ /,
    /^series-1-4 +[\d,]+ /,
  ],
  '/guide/series-2025/': [
    ...['batched', 'series-1-compare', 'series-1-2', 'series-1-3', 'series-1-4'].map(
      (name) => new RegExp(`^${name}: \\S`),
    ),
    /^4k, S4 +series-1-4 +\+\d/,
  ],
  '/guide/thread/': [
    /^violated: a device reaches the pages of its mapping and no others$/,
    /^series-1-folio \(!\) +[\d,]+ /,
    /^ +is_invalid_reserved_pfn\(\); \/\* .*ret=0 \*\/$/,
    /^4k, S4 +unpin-rfc-2025 +[+-]\d/,
    /^ +__gup_longterm_locked\(\); \/\* .*npages=3 ret=3 \*\/$/,
    /^page-list +[\d,]+ /,
  ],
  '/guide/own-algorithm/': [
    /^violated: a device reaches the pages of its mapping and no others$/,
    /name: 'my-algorithm'/,
  ],
};

/** What a page may not show: withdrawn algorithms on the page that explains the merged ones. */
const NEVER: Readonly<Record<string, RegExp>> = {
  '/guide/series-2025/': /^(?:series-1-folio|unpin-folio-2025|unpin-rfc-2025)\b/,
};

test('every page of the guide is here', () => {
  const dist = join(import.meta.dirname, '../../dist');
  const pages = globSync('guide/*/index.html', { cwd: dist }).map((file) => `/${dirname(file)}/`);
  expect(pages.sort()).toEqual(Object.keys(LINES).sort());
});

test.each(Object.keys(LINES))('%s shows the lines that it is about', async (path) => {
  const page = await site.open(path);
  const shown = await page.locator('main .ec-line, main li').allTextContents();
  const lines = shown.map((line) => line.replace(/\n$/, ''));
  const lacks = LINES[path].filter((line) => !lines.some((one) => line.test(one)));
  expect(lacks).toEqual([]);
  const never = NEVER[path];
  if (never) expect(lines.filter((line) => never.test(line))).toEqual([]);
});
