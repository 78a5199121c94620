/**
 * Alex Williamson's figures for hugetlb pages of 1 GiB: another host, and patches that came before
 * the series. His other two modes were shared memory in small pages, which is no backing here.
 */
import { figuresOf, type PublishedFigure } from './published-figure.ts';

const common = {
  backing: 'hugetlb-1g',
  memory: 'hugetlbfs file, 1 GiB pages',
  pageBytes: 2 ** 30,
  bytes: 16 * 2 ** 30,
  host: "Alex Williamson's host, not stated",
  source: {
    title: 'Re: [RFC] vfio/type1: optimize vfio_unpin_pages_remote() for large folio',
    author: 'Alex Williamson (Red Hat)',
    date: '2025-06-05',
    messageId: '20250605100958.10c885d3.alex.williamson@redhat.com',
  },
};

const caveat = 'another host, and patches that came before the series of 6.18';

/** The figures of the mail. */
export const alexWilliamson20250605: readonly PublishedFigure[] = [
  ...figuresOf({
    ...common,
    series: '6.16',
    kernel: 'a kernel of June 2025',
    caveat,
    seconds: { map: 0.071, unmap: 0.103 },
  }),
  ...figuresOf({
    ...common,
    series: '6.18',
    kernel: 'that kernel with the pin patch and the first unpin RFC',
    caveat,
    seconds: { map: 0.011, unmap: 0.023 },
  }),
];
