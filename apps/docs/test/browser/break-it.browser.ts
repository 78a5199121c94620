import { checkAlgorithm, type CheckFinding } from '@pinfold/check';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import type { Page } from 'playwright';
import { expect, test } from 'vitest';
import { siteBrowser } from './open-page.ts';

const PATH = '/interactive/break-it/';
const ALGORITHM = 'hugetlb-v1-2025';
const site = siteBrowser();

const found = (page: Page): Promise<void> => page.locator('.details').waitFor();

/** The finding of the same check in Node, after as many sequences as the page says. */
async function findingInNode(page: Page): Promise<CheckFinding | undefined> {
  const status = await page.getByRole('status').innerText();
  const [, runs = ''] = /: ([\d,]+) sequences/.exec(status) ?? [];
  const { findings } = await checkAlgorithm({
    ...{ algorithm: pinAlgorithm(ALGORITHM), kernel: kernelVersion('6.16') },
    runs: Number(runs.replaceAll(',', '')),
  });
  return findings.find(({ invariant }) => invariant === 'reach');
}

test('a click finds the counterexample that Node finds, and what the device reaches', async () => {
  const page = await site.open(PATH);
  await page.getByRole('button', { name: 'Look for a counterexample' }).click();
  await found(page);
  const finding = await findingInNode(page);
  await expect(page.getByLabel('Counterexample').textContent()).resolves.toBe(finding?.scenario);
  await expect(page.locator('.what').textContent()).resolves.toBe(finding?.what);

  // The finding names both frames; the table has to say the same of that page.
  const [, reached, iova, frame] =
    /reaches frame (\w+) at iova (\w+) .* where frame (\w+) is there/.exec(finding?.what ?? '') ??
    [];
  const wrong = page.locator('.reach tr.refused').first();
  await expect(wrong.locator('th').innerText()).resolves.toBe(iova);
  await expect(wrong.locator('td').nth(1).innerText()).resolves.toBe(frame);
  await expect(wrong.locator('td').nth(2).innerText()).resolves.toBe(reached);
  await expect(page.locator('.drawing line.wrong').count()).resolves.toBe(
    await page.locator('.reach tr.refused').count(),
  );
});

test('the keyboard does the same, and the address brings it back', async () => {
  const page = await site.open(PATH);
  await page.getByLabel('Seed').focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await found(page);
  const text = await page.getByLabel('Counterexample').textContent();
  const { hash } = new URL(page.url());
  expect(new URLSearchParams(hash.slice(1)).get('algorithm')).toBe(ALGORITHM);
  const again = await site.open(`${PATH}${hash}`);
  await found(again);
  await expect(again.getByLabel('Counterexample').textContent()).resolves.toBe(text);
});

test('the counterexample opens in the playground', async () => {
  const page = await site.open(`${PATH}#algorithm=${ALGORITHM}`);
  await found(page);
  await page.getByRole('link', { name: 'Open it in the playground' }).click();
  await page
    .getByRole('status')
    .filter({ hasText: /refused/ })
    .waitFor();
  await expect(page.getByLabel('Pin algorithm').inputValue()).resolves.toBe(ALGORITHM);
  await expect(page.locator('.cm-content').innerText()).resolves.toContain('audit against=batched');
  await expect(page.locator('.findings').innerText()).resolves.toContain(
    'a device reaches the pages of its mapping and no others',
  );
});

test('an algorithm without a known defect survives, and a check can be stopped', async () => {
  const page = await site.open(`${PATH}#algorithm=series-1-4&runs=50`);
  await page.getByRole('status').filter({ hasText: 'Nothing found: 50 sequences' }).waitFor();
  await page.getByLabel('Sequences at most').selectOption('20000');
  await page.getByRole('button', { name: 'Look for a counterexample' }).click();
  await page
    .getByRole('status')
    .filter({ hasText: /of 20,000 sequences/ })
    .waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Look for a counterexample' }).waitFor();
});
