import { COUNTER_NAMES, type CounterValues } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { changeOf, smallFolioChanges, type CompareRow } from './changes.ts';
import type { CompareReport } from './compare.ts';
import { compareText } from './compare-report.ts';
import type { LayoutTag } from './layouts.ts';
import { ops, type Op } from './measure.ts';
import { operations, totalOperations } from './operations.ts';
import { publishedFigure } from './published/index.ts';
import { markdownStyle, textStyle } from './style.ts';
import { DEFAULT_IOMMU } from './workloads/mem-dma-map.ts';

const GIB16 = 16 * 2 ** 30;

/** Made-up counts of one algorithm: what it counts in a map, and in an unmap. */
type Counts = Readonly<Record<Op, Partial<CounterValues>>>;

const BASE: Counts = {
  map: { gupCalls: 8192, pageFills: 4_194_304, vpfnLookups: 4_194_304 },
  unmap: { putCalls: 4_194_304, putAtomics: 4_194_304 },
};
/** Makes another compare per page, and half of the puts. */
const COMPARING: Counts = {
  map: { ...BASE.map, pageCompares: 4_194_304 },
  unmap: { putCalls: 2_097_152, putAtomics: 2_097_152 },
};

function rowsOf(
  counts: Readonly<Record<string, Counts>>,
  memories: [string, LayoutTag][],
): CompareRow[] {
  return memories.flatMap(([backing, layoutTag]) =>
    ops.flatMap((op) => {
      const rows = Object.entries(counts).map(([algorithm, count], i): CompareRow => {
        const none = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as CounterValues;
        const counters = { ...none, ...count[op] };
        const series = ['6.16', '6.18'][i] ?? '';
        return {
          ...{ algorithm, backing, layoutTag, op, bytes: GIB16, counters, change: null },
          ...{ modelMs: { min: 20, median: 20 }, repetitionMs: [20 + 5 * i] },
          published: publishedFigure({ series, backing, layout: layoutTag, bytes: GIB16, op }),
          operations: totalOperations(op, counters),
        };
      });
      const [base, ...others] = rows;
      return [base, ...others.map((row) => ({ ...row, change: changeOf(row, base) }))];
    }),
  );
}

function reportOf(
  counts: Readonly<Record<string, Counts>>,
  memories: [string, LayoutTag][],
  defects: readonly string[] = [],
): CompareReport {
  const rows = rowsOf(counts, memories);
  const names = Object.keys(counts);
  return {
    ...{ kernel: '6.18', bytes: GIB16, base: names[0], operations, rows },
    algorithms: names.map((name, i) => ({
      ...{ name, summary: `what ${name} is`, source: 'a mail' },
      defects: i === 0 ? [] : defects,
      base: null,
    })),
    smallFolios: smallFolioChanges(rows, names[0]),
    patches: [],
    leftOut: [],
    iommu: DEFAULT_IOMMU,
    uncounted: [],
  };
}

const S4_H2: [string, LayoutTag][] = [
  ['4k', 'S4'],
  ['thp', 'H2'],
];
const both = reportOf({ batched: BASE, comparing: COMPARING }, S4_H2);

/** What stands under a heading. */
function sectionOf(text: string, heading: string): string {
  const [, rest = ''] = text.split(`${heading}\n`);
  return rest.split(/\n(?:###|VFIO_IOMMU_|Change )/)[0] ?? '';
}

describe('compareText', () => {
  it('has a table per memory and call, of what is different, and names what is alike', () => {
    const section = sectionOf(
      compareText(both),
      'VFIO_IOMMU_MAP_DMA of 4k, S4, 16G: 4,194,304 pages',
    );
    expect(section.trimEnd().split('\n')).toEqual([
      '',
      '           operations     model time, ms',
      '                 page',
      'algorithm    compares   min  median  / batched',
      'batched             0  20.0    20.0',
      'comparing   4,194,304  20.0    20.0       1.25',
      '',
      'All alike: GUP calls 8,192, page fills 4,194,304, vpfn look-ups 4,194,304.',
    ]);
  });

  it('sets published time apart from model time, with its source', () => {
    const text = compareText(both);
    expect(text).toMatch(/operations +model time, ms +published, s\n/);
    expect(text).toMatch(/^batched +0 +20\.0 +20\.0 +0\.047 +\[1\]$/m);
    expect(text).toMatch(/^comparing +4,194,304 +20\.0 +20\.0 +1\.25 +0\.027 +0\.57 +\[1\]$/m);
    expect(text).toMatch(/^\[1\] +published: 6\.16-rc4, and .* Li Zhe/m);
    expect(text).toMatch(/^model time +of this model on this machine, not of a kernel/m);
  });

  it('says by how much each memory gains or loses, and whether small folios lose', () => {
    const section = sectionOf(compareText(both, textStyle(160)), 'Change against batched');
    expect(section).toMatch(
      /^4k, S4 +comparing +\+50\.0% +-50\.0% +lose: map +\+25\.0% +\+25\.0%$/m,
    );
    expect(section).toMatch(/^thp, H2 +comparing +\+50\.0% +-50\.0% +\+25\.0% +\+25\.0%$/m);
    expect(section).toContain(
      'Small folios lose in S4 on map: comparing makes 50.0% more operations than batched. ' +
        'Per page: page compares +1.00.',
    );
  });

  it('names algorithms that lose alike together', () => {
    const alike = reportOf({ batched: BASE, one: COMPARING, two: COMPARING }, S4_H2);
    const text = compareText(alike, textStyle(160));
    expect(text.match(/Small folios lose/g)).toHaveLength(1);
    expect(text).toContain('on map: one, two make 50.0% more operations than batched.');
  });

  it('says which backings the size leaves out', () => {
    const text = compareText({ ...both, bytes: 2 ** 29, leftOut: ['hugetlb-1g'] });
    expect(text).toMatch(/^hugetlb-1g +left out: 512M is no multiple of its page size, 1G$/m);
    expect(compareText(both)).not.toContain('left out');
  });

  it('has no word on small folios where there are none', () => {
    const huge = reportOf({ batched: BASE, comparing: COMPARING }, [['thp', 'H2']]);
    const text = compareText(huge, textStyle(160), false);
    expect(text).toMatch(/^thp, H2 +comparing +\+50\.0% +-50\.0%$/m);
    expect(text).not.toMatch(/small$|small folios/im);
  });

  it('says so when small folios do not lose', () => {
    const same = reportOf({ batched: BASE, same: { ...BASE, unmap: COMPARING.unmap } }, S4_H2);
    const text = compareText(same, textStyle(160));
    expect(text).toMatch(/^4k, S4 +same +0\.0% +-50\.0% +no loss/m);
    expect(text).toContain('Small folios do not lose: in S4, none makes more operations');
    expect(text).not.toContain('Small folios lose');
  });

  it('marks what is known to be wrong, and says what', () => {
    const wrong = reportOf({ batched: BASE, comparing: COMPARING }, S4_H2, [
      'it leaks',
      'it slips',
    ]);
    const text = compareText(wrong);
    expect(text).toMatch(/^comparing \(!\) +4,194,304/m);
    expect(text).toMatch(
      /^comparing \(!\) +what comparing is \(a mail\); known to be wrong: it leaks; it slips$/m,
    );
    expect(text).not.toContain('batched (!)');
  });

  it('shows all operations of a single algorithm, and compares nothing', () => {
    const text = compareText(reportOf({ batched: BASE }, [['4k', 'S4']]));
    expect(text).toMatch(/^batched +8,192 +4,194,304 +4,194,304 +20\.0/m);
    for (const words of ['All alike', 'Change against', '/ batched', 'mall folios']) {
      expect(text).not.toContain(words);
    }
  });

  it.each([
    ['Markdown', markdownStyle, 80],
    ['text of 80 columns', textStyle(80), 80],
    ['text', textStyle(), 120],
  ])('fits its width as %s, without trailing spaces', (_, style, width) => {
    const text = compareText(both, style);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width);
    expect(text).not.toMatch(/ $/m);
    expect(text).toMatch(/[^\n]\n$/);
  });

  it('has tables of Markdown for a mail', () => {
    const text = compareText(both, markdownStyle);
    expect(sectionOf(text, '### VFIO_IOMMU_MAP_DMA of 4k, S4, 16G: 4,194,304 pages')).toContain(
      [
        '| algorithm |  page cmp | model min | model med | model / |',
        '| --------- | --------: | --------: | --------: | ------: |',
        '| batched   |         0 |      20.0 |      20.0 |         |',
        '| comparing | 4,194,304 |      20.0 |      20.0 |    1.25 |',
      ].join('\n'),
    );
    expect(text).toMatch(/^- \*\*model time\*\*: of this model/m);
    expect(text.replace(/\s+/g, ' ')).toContain(
      '- **columns**: page cmp: page compares; puts: folio puts; put atm: put atomics - **',
    );
  });

  it('leaves out every time, but no operation, when asked to', () => {
    const text = compareText(both, textStyle(), false);
    const full = compareText(both);
    for (const words of ['model', 'published', ' ms', 'Li Zhe', '/ batched']) {
      expect(full).toContain(words);
      expect(text).not.toContain(words);
    }
    for (const words of [
      /^comparing +4,194,304$/m,
      /^4k, S4 +comparing +\+50\.0% +-50\.0% +lose: map$/m,
    ]) {
      expect(text).toMatch(words);
    }
    const alike = reportOf({ batched: BASE, same: BASE }, S4_H2);
    expect(sectionOf(compareText(alike, textStyle(), false), '4,194,304 pages').trim()).toBe(
      'All alike: GUP calls 8,192, page fills 4,194,304, vpfn look-ups 4,194,304.',
    );
  });
});
