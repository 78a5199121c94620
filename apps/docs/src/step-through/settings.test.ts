import { InputError } from '@pinfold/base';
import { backing, backings, layout } from '@pinfold/bench';
import { kernelVersions } from '@pinfold/kernels';
import { describe, expect, test } from 'vitest';
import {
  DEFAULT_STATE,
  layoutsOf,
  readState,
  sizesOf,
  withBacking,
  writeState,
  type PageState,
} from './settings.ts';

const read = (query: string): PageState => readState(new URLSearchParams(query));

describe('the address', () => {
  test('that says nothing is the default', () => {
    expect(read('')).toEqual(DEFAULT_STATE);
  });

  test.each([
    'backing=thp&layout=H2&size=16M&kernel=6.18',
    'backing=4k&layout=S4&size=64K&kernel=6.12&algorithm=page-at-a-time&step=17&break=put_pfn',
    'backing=hugetlb-1g&layout=H1-adjacent&size=4G&kernel=7.2&versus=batched&pace=step',
    'backing=4k&layout=T4&size=12K&kernel=6.16&versus=kernel',
  ])('%s comes back as it was', (query) => {
    expect(writeState(read(query)).toString()).toBe(query);
  });

  test('a backing alone brings a layout and a size that suit it', () => {
    for (const { name, order } of backings) {
      const { settings } = read(`backing=${name}`);
      expect(layout(settings.layout).order).toBe(order);
      expect(settings.bytes % (4096 * 2 ** order)).toBe(0);
    }
  });

  test.each([
    ['backing=5k', 'backing: expected one of thp'],
    ['backing=4k&layout=H2', "layout: expected one of 4k: S4, T4, got 'H2'"],
    ['backing=4k&size=5000', 'size: expected a multiple of 4K'],
    ['backing=thp&size=1G1', 'size: expected a size like'],
    ['backing=thp&size=32G', "size: expected at most 16G on this page, got '32G'"],
    ['kernel=4.4', `kernel: expected ${kernelVersions[0].series}, `],
    ['algorithm=mine', 'pin algorithm: expected one of'],
    ['versus=mine', 'pin algorithm: expected one of'],
    ['step=-1', 'step: expected a whole number from 0'],
    ['step=x', 'step: expected a whole number from 0'],
  ])('%s is refused: %s', (query, message) => {
    expect(() => read(query)).toThrow(InputError);
    expect(() => read(query)).toThrow(message);
  });
});

describe('what the menus offer', () => {
  test.each(backings)('for $name can be run', (of) => {
    expect(sizesOf(of).length).toBeGreaterThanOrEqual(3);
    for (const bytes of sizesOf(of))
      for (const tag of layoutsOf(of)) {
        const query = `backing=${of.name}&layout=${tag}&size=${bytes}`;
        expect(read(query).settings).toMatchObject({ layout: tag, bytes });
      }
  });

  test('stays where it suits another backing', () => {
    const { settings } = DEFAULT_STATE;
    expect(withBacking(settings, 'hugetlb-2m')).toEqual({ ...settings, backing: 'hugetlb-2m' });
    const small = withBacking({ ...settings, bytes: 2 ** 34 }, '4k');
    expect(small).toMatchObject({ layout: layoutsOf(backing('4k'))[0], bytes: 2 ** 34 });
    expect(withBacking(settings, 'hugetlb-1g').bytes).toBe(2 ** 31);
  });
});
