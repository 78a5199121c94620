import { COUNTER_NAMES, type CounterValues } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import type { BenchReport, BenchRow } from './bench.ts';
import type { LayoutTag } from './layouts.ts';
import { ops } from './measure.ts';
import { publishedFigure } from './published/index.ts';
import { reportJson, reportText } from './report.ts';
import { markdownStyle, textStyle } from './style.ts';
import { DEFAULT_IOMMU } from './workloads/mem-dma-map.ts';

const GIB16 = 16 * 2 ** 30;
const TAGS: Readonly<Record<string, LayoutTag>> = {
  ...{ thp: 'H2', '4k': 'T4', 'hugetlb-2m': 'H2', 'hugetlb-1g': 'H1' },
};

/** A report with made-up counters and times, as wide as those of 16 GiB. */
function reportOf(backings: string[], kernels: string[], bytes = GIB16): BenchReport {
  const rows = backings.flatMap((backing) =>
    ops.flatMap((op) => kernels.map((series, i) => row(backing, series, op, bytes, 40 - 10 * i))),
  );
  return { rows, leftOut: [], iommu: DEFAULT_IOMMU };
}

function row(
  backing: string,
  kernel: string,
  op: BenchRow['op'],
  bytes: number,
  ms: number,
): BenchRow {
  const layoutTag = TAGS[backing];
  const counters = Object.fromEntries(
    COUNTER_NAMES.map((name) => [name, 4202495]),
  ) as CounterValues;
  return {
    ...{ kernel, backing, op, bytes, layout: 'contiguous', layoutTag, counters },
    modelMs: { min: ms, median: ms + 0.25 },
    repetitionMs: [2 * ms, ms, 3 * ms],
    published: publishedFigure({ series: kernel, backing, layout: layoutTag, bytes, op }),
  };
}

const full = reportOf(['thp', '4k', 'hugetlb-2m', 'hugetlb-1g'], ['6.16', '6.18']);

describe('reportText', () => {
  it('says by how much a row is faster, from ten times on, by the fastest repetitions', () => {
    const rows = [40, 4, 4.1, 0.25].map((ms, i) => row('thp', `k${i}`, 'map', GIB16, ms));
    const text = reportText(
      { rows: [...rows, row('thp', 'k0', 'unmap', GIB16, 40)], leftOut: [], iommu: DEFAULT_IOMMU },
      textStyle(200),
    );
    const repetitions = '(minimum of 3 repetitions each, of the same run)';
    expect(text).toContain(`k1          map of thp 10 times faster than k0 ${repetitions}`);
    expect(text).not.toMatch(/^k2 +map/m);
    expect(text).toContain(`k3          map of thp 160 times faster than k0 ${repetitions}`);
    // Small ratios keep two digits.
    expect(text).toMatch(/^thp +k1 .* 0\.10$/m);
    expect(text).toMatch(/^thp +k3 .* 0\.0063$/m);
  });

  it('has a table for each operation, and explains what it shows', () => {
    expect(reportText(reportOf(['thp'], ['6.16', '6.18'])).split('\n')).toEqual([
      'VFIO_IOMMU_MAP_DMA of 16G: 4,194,304 pages',
      '',
      '                                   operations                        model time, ms      published, s',
      '                       GUP        pfn       page       vpfn     iommu_',
      'backing  kernel      steps   compares   compares   look-ups        map   min  median  / 6.16   mean  / 6.16',
      'thp      6.16    4,202,495  4,202,495  4,202,495  4,202,495  4,202,495  40.0    40.3          0.047          [1]',
      'thp      6.18    4,202,495  4,202,495  4,202,495  4,202,495  4,202,495  30.0    30.3    0.75  0.027    0.57  [1]',
      '',
      'VFIO_IOMMU_UNMAP_DMA of 16G: 4,194,304 pages',
      '',
      '                                   operations                        model time, ms      published, s',
      '                  iova_to_     iommu_   reserved       vpfn      folio',
      'backing  kernel       phys      unmap      tests   look-ups       puts   min  median  / 6.16   mean  / 6.16',
      'thp      6.16    4,202,495  4,202,495  4,202,495  4,202,495  4,202,495  40.0    40.3          0.135          [1]',
      'thp      6.18    4,202,495  4,202,495  4,202,495  4,202,495  4,202,495  30.0    30.3    0.75  0.045    0.33  [1]',
      '',
      'thp         private anonymous memory with MADV_HUGEPAGE, in folios of 2 MiB; no two neighbours adjacent (H2)',
      'model time  of this model on this machine, not of a kernel; repetitions: 3, all rows in turn',
      '/ 6.16      the time divided by that of 6.16 (model: in the same repetition, median); the model pays for no atomics',
      '[1]         published: 6.16-rc4, and 6.16-rc4 with the series; Li Zhe (ByteDance), 2025-06-30',
      '',
      'Operations of 6.18 compared with 6.16, each counted as one: thp as many to map, as many to unmap.',
      '',
    ]);
  });

  it.each([120, 80])('fits %d columns', (width) => {
    const lines = reportText(full, textStyle(width)).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
  });

  it('splits a table that is too wide into operations and times', () => {
    const tables = (text: string): number => text.match(/^backing/gm)?.length ?? 0;
    expect(tables(reportText(full, textStyle(120)))).toBe(2);
    expect(tables(reportText(full, textStyle(80)))).toBe(4);
  });

  it('is Markdown of 80 columns for a mail, and says what short headings stand for', () => {
    const text = reportText(full, markdownStyle);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(text).toMatch(
      /^### VFIO_IOMMU_MAP_DMA of 16G: 4,194,304 pages\n\n\| backing +\| kernel \|/,
    );
    expect(text).toMatch(/^\| hugetlb-1g \| 6\.18 +\|.*\| +0\.15 \| \[3\] \|$/m);
    expect(text).toContain('vpfn: vpfn look-ups');
    expect(reportText(full)).not.toContain('vpfn: vpfn look-ups');
  });

  it('labels published figures, each with its own source', () => {
    const text = reportText(full);
    expect(text).toContain('published: 6.16-rc4, and 6.16-rc4 with the series; Li Zhe');
    expect(text).toMatch(/^hugetlb-2m +6\.18 .* 0\.031 +0\.60 +\[2\]$/m);
    expect(text).toMatch(/^hugetlb-1g +6\.18 .* 0\.011 +0\.15 +\[3\]$/m);
    expect(text).toMatch(/^\[2\] .*\n? .*not stated; 2 MiB is likely$/m);
    expect(text).toMatch(/^\[3\] .*June 2025.*\n? .*Williamson/m);
  });

  it('has no published column for another size', () => {
    expect(reportText(reportOf(['thp', '4k'], ['6.16', '6.18'], 2 ** 26))).not.toContain(
      'published',
    );
  });

  it('compares nothing when there is one kernel', () => {
    const text = reportText(reportOf(['thp'], ['6.18']));
    expect(text).not.toContain('/ 6.18');
    expect(text).toContain('0.027');
  });

  it('takes the median of the ratios, repetition by repetition', () => {
    const [first, second] = ['6.16', '6.18'].map((kernel) => row('thp', kernel, 'map', 2 ** 26, 1));
    const drifting = [
      { ...first, repetitionMs: [10, 20, 40] },
      { ...second, repetitionMs: [5, 10, 40] },
    ];
    const text = reportText({
      rows: [...drifting, row('thp', '6.16', 'unmap', 2 ** 26, 1)],
      leftOut: [],
      iommu: DEFAULT_IOMMU,
    });
    expect(text).toMatch(/^thp +6\.18 .* 0\.50$/m);
  });

  it('shows times below a millisecond with more digits', () => {
    const rows = [
      row('thp', '6.16', 'map', 2 ** 26, 0.125),
      row('thp', '6.16', 'unmap', 2 ** 26, 3),
    ];
    expect(reportText({ rows, leftOut: [], iommu: DEFAULT_IOMMU })).toContain('0.125');
  });

  it('has no trailing spaces, and ends in one line break', () => {
    for (const width of [200, 120, 80, 10]) {
      const text = reportText(full, textStyle(width));
      expect(text).not.toMatch(/ $/m);
      expect(text).toMatch(/[^\n]\n$/);
    }
  });
});

describe('reportJson', () => {
  it('is the report', () => {
    expect(JSON.parse(reportJson(full))).toEqual(full);
    expect(reportJson(full)).toMatch(/}\n$/);
  });
});
