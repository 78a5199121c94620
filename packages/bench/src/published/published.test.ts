import { PAGE_SIZE } from '@pinfold/base';
import { kernelVersions } from '@pinfold/kernels';
import { describe, expect, it } from 'vitest';
import { backing } from '../backings.ts';
import { publishedFigure, publishedFigures, type PublishedQuery } from './index.ts';

const GIB16 = 16 * 2 ** 30;
const query: PublishedQuery = {
  ...{ series: '6.16', backing: 'thp', layout: 'H2', bytes: GIB16, op: 'map' },
};

/** Map and unmap of a series on a backing. */
function pair(series: string, name: string): (number | undefined)[] {
  return (['map', 'unmap'] as const).map(
    (op) => publishedFigure({ ...query, series, backing: name, op })?.seconds,
  );
}

describe('published figures', () => {
  it('are the seconds of the mails', () => {
    expect(pair('6.16', 'thp')).toEqual([0.047, 0.135]);
    expect(pair('6.16', '4k')).toEqual([0.28, 0.312]);
    expect(pair('6.16', 'hugetlb-2m')).toEqual([0.052, 0.136]);
    expect(pair('6.18', 'thp')).toEqual([0.027, 0.045]);
    expect(pair('6.18', '4k')).toEqual([0.288, 0.288]);
    expect(pair('6.18', 'hugetlb-2m')).toEqual([0.031, 0.045]);
    expect(pair('6.16', 'hugetlb-1g')).toEqual([0.071, 0.103]);
    expect(pair('6.18', 'hugetlb-1g')).toEqual([0.011, 0.023]);
  });

  it('say where they come from, and what they are to be compared with', () => {
    for (const { series, backing: name, source, bytes, seconds } of publishedFigures) {
      expect(kernelVersions.map((version) => version.series)).toContain(series);
      expect(() => backing(name)).not.toThrow();
      expect(bytes).toBe(GIB16);
      expect(seconds).toBeGreaterThan(0);
      expect(source.date).toMatch(/^2025-\d\d-\d\d$/);
      expect(source.messageId).toMatch(/^\d{14}\.[\w.-]+@(bytedance|redhat)\.com$/);
    }
  });

  it('have no case twice', () => {
    const cases = publishedFigures.map(
      ({ series, backing: name, op, bytes }) => `${series} ${name} ${op} ${bytes}`,
    );
    expect(new Set(cases).size).toBe(cases.length);
  });

  it('state the page size of their backing, or say that it is not stated', () => {
    for (const { backing: name, pageBytes, caveat } of publishedFigures) {
      if (pageBytes === null) expect(caveat).toContain('not stated');
      else expect(pageBytes).toBe(PAGE_SIZE * 2 ** backing(name).order);
    }
  });

  it("never stand under another author's label", () => {
    for (const { backing: name, source } of publishedFigures) {
      expect(source.author).toBe(
        name === 'hugetlb-1g' ? 'Alex Williamson (Red Hat)' : 'Li Zhe (ByteDance)',
      );
    }
  });

  it('are given for the published case only', () => {
    expect(publishedFigure(query)).not.toBeNull();
    expect(publishedFigure({ ...query, bytes: GIB16 / 2 })).toBeNull();
    expect(publishedFigure({ ...query, series: '6.12' })).toBeNull();
    expect(publishedFigure({ ...query, backing: '4k', layout: 'T4' })).not.toBeNull();
    expect(publishedFigure({ ...query, backing: '4k', layout: 'S4' })).toBeNull();
  });
});
