import { expect, test } from 'vitest';
import { siteBrowser } from './open-page.ts';
import { runEstimate } from '../../src/estimate/run-estimate.ts';
import type { EstimateRequest } from '../../src/estimate/request.ts';

const PATH = '/interactive/estimate/';
const site = siteBrowser();

const first: EstimateRequest = {
  ...{ memory: '128G', backing: 'thp', populated: 'no', containers: '1', bars: '' },
  ...{ kernel: '6.16', beside: '7.3', memlock: '', layout: '' },
  profile: 'jordan-2022-intel',
};

test('the form computes what Node computes, and its address brings it back', async () => {
  const page = await site.open(PATH);
  const times = page.getByRole('region', { name: 'Predicted kernel time' });
  await times.waitFor();
  await page.getByLabel('Memory of the guest').fill('64G');
  await page.getByLabel('Memory of the guest').press('Tab');
  await page.getByLabel('Backing').selectOption('hugetlb-2m');
  const [wanted] = runEstimate({ ...first, memory: '64G', backing: 'hugetlb-2m' }).times;
  await times.getByText(wanted.map).first().waitFor();
  const { hash } = new URL(page.url());
  expect(new URLSearchParams(hash.slice(1)).get('memory')).toBe('64G');

  const again = await site.open(`${PATH}${hash}`);
  await again.getByText(wanted.map).first().waitFor();
  await expect(again.getByLabel('Backing').inputValue()).resolves.toBe('hugetlb-2m');
  await expect(again.locator('.command').innerText()).resolves.toContain('--memory 64G');
});

test('what cannot be read is said, and the field named', async () => {
  const page = await site.open(`${PATH}#memory=lots`);
  const alert = page.getByRole('alert');
  await alert.waitFor();
  await expect(alert.innerText()).resolves.toMatch(/^Memory: expected a size/);
});
