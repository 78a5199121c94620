/** Li Zhe's figures: v6.16-rc4, and v6.16-rc4 with version 1 of the series that 6.18 has. */
import { figuresOf, type MapUnmapSeconds, type PublishedFigure } from './published-figure.ts';

const common = {
  bytes: 16 * 2 ** 30,
  host: "Li Zhe's test host, not stated",
  source: {
    title:
      '[PATCH 0/4] vfio/type1: optimize vfio_pin_pages_remote() and vfio_unpin_pages_remote() for large folio',
    author: 'Li Zhe (ByteDance)',
    date: '2025-06-30',
    messageId: '20250630072518.31846-1-lizhe.67@bytedance.com',
  },
};

const memories = {
  thp: {
    backing: 'thp',
    memory: 'private anonymous, MADV_HUGEPAGE, populated by writing',
    pageBytes: 2 ** 21,
    caveat: '',
  },
  populate: {
    backing: '4k',
    memory: 'private anonymous, MAP_POPULATE, small folios',
    pageBytes: 2 ** 12,
    caveat: '',
  },
  hugetlbfs: {
    backing: 'hugetlb-2m',
    memory: 'hugetlbfs file, populated',
    pageBytes: null,
    caveat: 'the page size of the hugetlbfs mount is not stated; 2 MiB is likely',
  },
};

const kernels = {
  base: { series: '6.16', kernel: '6.16-rc4' },
  series: { series: '6.18', kernel: '6.16-rc4 with the series' },
};

function figures(
  kernel: keyof typeof kernels,
  memory: keyof typeof memories,
  seconds: MapUnmapSeconds,
): PublishedFigure[] {
  return figuresOf({ ...common, ...kernels[kernel], ...memories[memory], seconds });
}

/** The figures of the mail. */
export const liZhe20250630: readonly PublishedFigure[] = [
  ...figures('base', 'thp', { map: 0.047, unmap: 0.135 }),
  ...figures('base', 'populate', { map: 0.28, unmap: 0.312 }),
  ...figures('base', 'hugetlbfs', { map: 0.052, unmap: 0.136 }),
  ...figures('series', 'thp', { map: 0.027, unmap: 0.045 }),
  ...figures('series', 'populate', { map: 0.288, unmap: 0.288 }),
  ...figures('series', 'hugetlbfs', { map: 0.031, unmap: 0.045 }),
];
