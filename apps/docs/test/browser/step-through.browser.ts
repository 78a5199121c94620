import { COUNTER_NAMES, PAGE_SIZE, type CounterName } from '@pinfold/base';
import { backing, layouts, MemDmaMap } from '@pinfold/bench';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import type { BrowserContextOptions, Locator, Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { Recording } from '../../src/step-through/recording.ts';
import { KERNELS_OWN, readState } from '../../src/step-through/settings.ts';
import { FUNCTIONS, stepOf } from '../../src/step-through/steps.ts';
import { siteBrowser } from './open-page.ts';

const PATH = '/interactive/step-through/';
const site = siteBrowser();

const stage = (page: Page): Locator => page.locator('.st-stage');
const button = (page: Page, name: string): Locator =>
  page.getByRole('button', { name, exact: true });

/** Opens the page at a state and waits for the step. */
async function openAt(query = '', options: BrowserContextOptions = {}): Promise<Page> {
  const page = await site.open(`${PATH}?${query}`, options);
  await ready(page);
  return page;
}

/** Waits until the step is shown, and not only what is nearest; a certain one, if asked. */
async function ready(page: Page, step?: number): Promise<void> {
  const at = step === undefined ? '' : `[data-step="${step}"]`;
  await page.locator(`step-through[data-ready="true"]${at}`).waitFor();
}

async function stepNumber(page: Page): Promise<number> {
  return Number(await page.locator('step-through').getAttribute('data-step'));
}

/** All counters that the page shows, by algorithm. */
async function shownCounters(page: Page): Promise<Record<string, number>[]> {
  await page.getByLabel('all counters').check();
  const rows = await page.locator('[data-counter]').evaluateAll((all) =>
    all.map((row) => ({
      name: (row as HTMLElement).dataset.counter ?? '',
      values: Array.from(row.querySelectorAll('td'), (cell) => cell.firstChild?.textContent ?? ''),
    })),
  );
  const columns = rows[0].values.length;
  return Array.from({ length: columns }, (_, i) =>
    Object.fromEntries(rows.map(({ name, values }) => [name, toNumber(values[i])])),
  );
}

function toNumber(text: string): number {
  return Number(text.replaceAll(',', ''));
}

/** The numbers above the drawing of one algorithm. */
async function shownNumbers(page: Page, side = 0): Promise<Record<string, number>> {
  const texts = page.locator('.st-side').nth(side).locator('[data-stat]');
  const pairs = await texts.evaluateAll((all) =>
    all.map((stat) => [(stat as HTMLElement).dataset.stat, stat.textContent]),
  );
  return Object.fromEntries(pairs.map(([name, text]) => [name, toNumber(text ?? '')])) as Record<
    string,
    number
  >;
}

/** Only what was counted at all: a counter that is never used has no row. */
function used(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, n]) => n > 0));
}

/** The counters after the map, or after map and unmap, of a machine that nobody watches. */
function countersInNode(
  query: string,
  algorithm: string,
  unmapped: boolean,
): Record<string, number> {
  const { settings } = readState(new URLSearchParams(query));
  const machine = new MemDmaMap({
    kernel: kernelVersion(settings.kernel),
    pinAlgorithm: pinAlgorithm(algorithm),
    backing: backing(settings.backing),
    layout: layouts[settings.layout],
    bytes: settings.bytes,
  });
  machine.map();
  if (unmapped) machine.unmap();
  return used(machine.counters.snapshot());
}

/** The recording of the page's state, made in Node. */
function recordingOf(query: string, algorithm = KERNELS_OWN): Recording {
  return new Recording(readState(new URLSearchParams(query)).settings, algorithm);
}

/** Counters at a step, in Node. */
function countersAt(recording: Recording, index: number): Record<string, number> {
  const { counters } = stepOf(recording.window(index, 1), 0);
  const pairs = COUNTER_NAMES.map((name: CounterName, slot) => [name, counters[slot]]);
  return used(Object.fromEntries(pairs) as Record<string, number>);
}

describe('by mouse', () => {
  test('steps count what the packages count in Node', async () => {
    const page = await openAt();
    const recording = recordingOf('');
    expect(await stepNumber(page)).toBe(0);
    for (let step = 1; step <= 8; step++) {
      await button(page, 'Step →').click();
      await ready(page, step);
    }
    expect(used((await shownCounters(page))[0])).toEqual(countersAt(recording, 8));
    await button(page, '← Back').click();
    await ready(page, 7);
    expect(used((await shownCounters(page))[0])).toEqual(countersAt(recording, 7));
    await page.locator('.st-trace button').nth(6).click();
    await expect.poll(() => stepNumber(page)).toBe(9);
    await button(page, '⇤ Start').click();
    await ready(page, 0);
    await expect(shownNumbers(page)).resolves.toEqual({ pins: 0, locked: 0, mapped: 0 });
  });

  test.each([
    ['4k', 'S4', '1M', '6.12', 'batched-page-array'],
    ['4k', 'T4', '4M', '6.16', 'batched'],
    ['thp', 'H2-adjacent', '16M', '7.2', 'series-1-4'],
    ['hugetlb-1g', 'H1', '2G', '6.18', 'series-1-4'],
  ])('%s %s %s on %s ends where a plain run ends', async (memory, layout, size, kernel, own) => {
    const page = await openAt();
    const bytes = String(Number.parseInt(size) * (size.endsWith('G') ? 2 ** 30 : 2 ** 20));
    await page.getByLabel('Memory', { exact: true }).selectOption(memory);
    await page.getByLabel('Layout of the frames').selectOption(layout);
    await page.getByLabel('Size', { exact: true }).selectOption(bytes);
    await page.getByLabel('Kernel', { exact: true }).selectOption(kernel);
    await ready(page, 0);
    await stage(page).focus();
    await page.keyboard.press('End');
    const query = new URL(page.url()).search;
    const { steps, firstUnmapStep } = recordingOf(query).overview();
    await ready(page, steps - 1);
    expect(used((await shownCounters(page))[0])).toEqual(countersInNode(query, own, true));
    await expect(shownNumbers(page)).resolves.toEqual({ pins: 0, locked: 0, mapped: 0 });

    const mapped = await openAt(`${query.slice(1)}&step=${firstUnmapStep - 1}`);
    expect(used((await shownCounters(mapped))[0])).toEqual(countersInNode(query, own, false));
    const pages = Number(bytes) / PAGE_SIZE;
    await expect(shownNumbers(mapped)).resolves.toEqual({
      pins: pages,
      locked: pages,
      mapped: pages,
    });
  });

  test('a breakpoint stops where the function is called', async () => {
    const page = await openAt('backing=4k&layout=S4&size=64K&kernel=6.18');
    const recording = recordingOf('backing=4k&layout=S4&size=64K&kernel=6.18');
    const fn = FUNCTIONS.indexOf('iommu_map');
    await page.getByLabel('Breakpoint').selectOption('iommu_map');
    const first = recording.find(fn, 0, true);
    await button(page, 'Next call').click();
    await ready(page, first);
    await expect(page.locator('.st-call').textContent()).resolves.toBe(
      'iommu_map(iova=0x100000000, paddr=0x100001000, size=0x1000)',
    );
    await button(page, 'Next call').click();
    const second = recording.find(fn, first, true);
    await ready(page, second);
    await button(page, 'Previous call').click();
    await ready(page, first);
    // Playing stops there as well.
    await page.getByLabel('Speed').selectOption('60 steps a second');
    await button(page, 'Play').click();
    await button(page, 'Play').waitFor();
    await ready(page, second);
  });

  test('the slider goes anywhere', async () => {
    const page = await openAt('backing=4k&layout=S4&size=4M&kernel=6.18');
    const { steps } = recordingOf('backing=4k&layout=S4&size=4M&kernel=6.18').overview();
    const slider = page.getByRole('slider', { name: 'Step' });
    await slider.fill(String(steps - 5));
    await ready(page, steps - 5);
    await slider.fill('9000');
    await ready(page, 9000);
    const recording = recordingOf('backing=4k&layout=S4&size=4M&kernel=6.18');
    expect(used((await shownCounters(page))[0])).toEqual(countersAt(recording, 9000));
  });
});

describe('by keyboard', () => {
  test('everything is reached and works', async () => {
    const page = await openAt('size=4M');
    const { steps } = recordingOf('size=4M').overview();
    await page.getByLabel('Breakpoint').focus();
    await page.keyboard.type('vfio_sync_unpin');
    for (let i = 0; i < 4; i++) await page.keyboard.press('Tab');
    await expect(stage(page).evaluate((e) => e === document.activeElement)).resolves.toBe(true);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await ready(page, 2);
    await page.keyboard.press('Shift+ArrowRight');
    await ready(page, 12);
    await page.keyboard.press('ArrowLeft');
    await ready(page, 11);
    const stop = recordingOf('size=4M').find(FUNCTIONS.indexOf('vfio_sync_unpin'), 0, true);
    await page.keyboard.press('PageDown');
    await ready(page, stop);
    await page.keyboard.press('End');
    await ready(page, steps - 1);
    await page.keyboard.press('PageUp');
    await ready(page, stop);
    await page.keyboard.press('Home');
    await ready(page, 0);
    await page.keyboard.press(' ');
    await button(page, 'Pause').waitFor();
    await page.keyboard.press(' ');
    await button(page, 'Play').waitFor();
  });
});

describe('two algorithms', () => {
  const query = 'size=4M&algorithm=batched&versus=series-1-4';

  test('end with the counters of both', async () => {
    const page = await openAt(query);
    await stage(page).focus();
    await page.keyboard.press('End');
    const { steps } = recordingOf(query, 'batched').overview();
    await ready(page, steps - 1);
    const [first, second] = await shownCounters(page);
    expect(used(first)).toEqual(countersInNode(query, 'batched', true));
    expect(used(second)).toEqual(countersInNode(query, 'series-1-4', true));
  });

  test('stop at the same page, or after as many steps', async () => {
    const page = await openAt(`${query}&break=iommu_map`);
    await button(page, 'Next call').click();
    const at = recordingOf(query, 'batched').find(FUNCTIONS.indexOf('iommu_map'), 0, true);
    await ready(page, at);
    expect(await shownNumbers(page, 1)).toEqual(await shownNumbers(page, 0));
    await page.getByLabel('The second stops').selectOption('step');
    await ready(page, 0);
    await page.getByRole('slider', { name: 'Step' }).fill('33');
    await ready(page, 33);
    const [first, second] = await shownCounters(page);
    expect(used(first)).toEqual(countersAt(recordingOf(query, 'batched'), 33));
    expect(used(second)).toEqual(countersAt(recordingOf(query, 'series-1-4'), 33));
  });
});

describe('the address', () => {
  test('brings everything back', async () => {
    const page = await openAt('');
    await page.getByLabel('Memory', { exact: true }).selectOption('4k');
    await page.getByLabel('Pin algorithm').selectOption('page-at-a-time');
    await page.getByLabel('Compare with').selectOption('kernel');
    await page.getByLabel('The second stops').selectOption('step');
    await page.getByLabel('Breakpoint').selectOption('put_pfn');
    await ready(page, 0);
    await button(page, 'Next call').click();
    await expect.poll(() => new URL(page.url()).searchParams.get('step')).not.toBeNull();
    await ready(page);
    const told = await page.locator('.st-told').innerText();
    const counters = await shownCounters(page);
    const again = await openAt(new URL(page.url()).search.slice(1));
    expect(await again.locator('.st-told').innerText()).toBe(told);
    expect(await shownCounters(again)).toEqual(counters);
    await expect(again.getByLabel('Breakpoint').inputValue()).resolves.toBe('put_pfn');
    await expect(again.getByLabel('The second stops').inputValue()).resolves.toBe('step');
    await again.goBack();
  });

  test('that makes no sense is said, and the page works', async () => {
    const page = await openAt('backing=4k&layout=H2');
    await expect(page.getByRole('alert').textContent()).resolves.toContain('layout: expected');
    await button(page, 'Step →').click();
    await ready(page, 1);
  });
});

test('16 GiB of small pages: steps, jumps and plays', async () => {
  const query = 'backing=4k&layout=T4&size=16G&kernel=6.18';
  const page = await openAt(query);
  await button(page, 'Step →').click();
  await ready(page, 1);
  await page.getByLabel('Speed').selectOption('all in 20 seconds');
  await button(page, 'Play').click();
  await expect.poll(() => stepNumber(page), { timeout: 100_000 }).toBeGreaterThan(5000);
  await button(page, 'Pause').click();
  await stage(page).focus();
  await page.keyboard.press('End');
  const { steps } = recordingOf(query).overview();
  await ready(page, steps - 1);
  expect(used((await shownCounters(page))[0])).toEqual(countersInNode(query, 'series-1-4', true));
});

test('a phone in the dark, for someone who wants no motion', async () => {
  const page = await openAt('size=4M&step=14', {
    viewport: { width: 360, height: 740 },
    colorScheme: 'dark',
    reducedMotion: 'reduce',
  });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(width).toBe(360);
  await page.locator('summary', { hasText: 'thp, H2, 4M on 6.18' }).click();
  await page.getByLabel('Speed').selectOption('60 steps a second');
  await button(page, 'Step →').click();
  await ready(page, 15);
  await button(page, 'Play').click();
  // Half as many pictures, larger steps: after the first one it has gone on by 30.
  await expect.poll(() => stepNumber(page)).toBeGreaterThanOrEqual(45);
});

test('the drawing says in words what it shows', async () => {
  const page = await openAt('size=4M&step=14');
  const words = await page.getByRole('img').evaluateAll((all) => all.map((e) => e.ariaLabel));
  expect(words).toEqual([
    'Pages in order: pages 0 to 511 chunk, pages 512 to 1,023 pinned',
    'Batch: 512 pointers to pinned pages, from entry 0 on',
    'The IOMMU maps 0 of 1,024 pages',
  ]);
});

test('the sentence and the drawing of the batch are those of the same step', async () => {
  const page = await openAt('step=3');
  const batch = page.getByRole('img').nth(1);
  const waiting = page.locator('.st-facts dd').nth(1);
  await expect(batch.getAttribute('aria-label')).resolves.toMatch(/^Batch: 0 pointers /);
  const sentences = [/512 pointers lie in the batch/, /512 pages are pinned/, /512 pinned entries/];
  for (const [i, sentence] of sentences.entries()) {
    await button(page, 'Step →').click();
    await ready(page, 4 + i);
    await expect(page.locator('.st-text').innerText()).resolves.toMatch(sentence);
    await expect(batch.getAttribute('aria-label')).resolves.toMatch(/^Batch: 512 pointers /);
    await expect(waiting.innerText()).resolves.toBe('512 of 512');
  }
});
