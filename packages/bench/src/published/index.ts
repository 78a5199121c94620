/**
 * Which published measurements stand beside the rows of `bench` and `compare`: those of the unit
 * test, on the kernel before the large-folio series and on that kernel with it.
 */
import { ModelBug } from '@pinfold/base';
import type { LayoutTag } from '../layouts.ts';
import type { Op } from '../measure.ts';
import type { PublishedFigure } from './published-figure.ts';
import type { PublishedRecord } from './record.ts';
import { publishedRecords } from './records.ts';

/** Measurements of one mail and memory that a series is compared with. */
interface Compared {
  /** What the names of the measurements begin with; `map` or `unmap` follows. */
  readonly prefix: string;
  /** Release series whose code was measured. */
  readonly series: string;
  /** Backing that it is to be compared with. */
  readonly backing: string;
  /** Kernel, in words. */
  readonly kernel: string;
  /** What a comparison has to keep in mind; empty if nothing. */
  readonly caveat: string;
}

const RC4 = '6.16-rc4';
const RC4_SERIES = `${RC4} with the series`;
const NO_PAGE_SIZE = 'the page size of the hugetlbfs mount is not stated; 2 MiB is likely';
const OTHER_HOST = 'another host, and patches that came before the series of 6.18';

/** One line per kernel and memory. */
const COMPARED: readonly Compared[] = [
  compared('lizhe-series-v1-base-thp', '6.16', 'thp', RC4),
  compared('lizhe-series-v1-base-pop', '6.16', '4k', RC4),
  compared('lizhe-series-v1-base-huge', '6.16', 'hugetlb-2m', RC4, NO_PAGE_SIZE),
  compared('lizhe-series-v1-patched-thp', '6.18', 'thp', RC4_SERIES),
  compared('lizhe-series-v1-patched-pop', '6.18', '4k', RC4_SERIES),
  compared('lizhe-series-v1-patched-huge', '6.18', 'hugetlb-2m', RC4_SERIES, NO_PAGE_SIZE),
  compared('awilliam-base-huge', '6.16', 'hugetlb-1g', 'a kernel of June 2025', OTHER_HOST),
  compared(
    'awilliam-map-unmap-huge',
    '6.18',
    'hugetlb-1g',
    'that kernel with the pin patch and the first unpin RFC',
    OTHER_HOST,
  ),
];

function compared(
  prefix: string,
  series: string,
  backing: string,
  kernel: string,
  caveat = '',
): Compared {
  return { prefix, series, backing, kernel, caveat };
}

function figureOf(of: Compared, op: Op): PublishedFigure {
  const record = publishedRecords().find(({ id }) => id === `${of.prefix}-${op}`);
  if (!record) throw new ModelBug(`no published measurement ${of.prefix}-${op}`);
  const { series, backing, kernel, caveat } = of;
  return { series, backing, op, kernel, caveat, ...measured(record) };
}

function measured(record: PublishedRecord): Omit<PublishedFigure, keyof Compared | 'op'> {
  const { title, author, date, where } = record.source;
  return {
    seconds: record.seconds ?? 0,
    bytes: record.size_bytes ?? 0,
    memory: record.backing,
    pageBytes: record.page_size,
    host: record.hardware ?? 'not stated',
    source: { title, author, date, messageId: /\S+@\S+/.exec(where)?.[0] ?? where },
  };
}

/** All figures that rows are compared with. */
export const publishedFigures: readonly PublishedFigure[] = COMPARED.flatMap((of) => [
  figureOf(of, 'map'),
  figureOf(of, 'unmap'),
]);

/** What a figure is looked up for. */
export interface PublishedQuery {
  /** Release series. */
  readonly series: string;
  /** Name of the backing. */
  readonly backing: string;
  /** Tag of the layout. */
  readonly layout: LayoutTag;
  /** Size of the mapping in bytes. */
  readonly bytes: number;
  /** The operation. */
  readonly op: Op;
}

/**
 * The published figure for exactly this case. None was measured with scattered 4 KiB pages: the
 * published times leave no room for an iommu_map per page.
 *
 * @param query the case
 * @returns the figure, or null if none is published
 */
export function publishedFigure(query: PublishedQuery): PublishedFigure | null {
  if (query.layout === 'S4') return null;
  const { series, backing, bytes, op } = query;
  const found = publishedFigures.find(
    (figure) =>
      figure.series === series &&
      figure.backing === backing &&
      figure.bytes === bytes &&
      figure.op === op,
  );
  return found ?? null;
}
