/** The registry of published figures: one line per mail. */
import type { LayoutTag } from '../layouts.ts';
import type { Op } from '../measure.ts';
import { alexWilliamson20250605 } from './alex-williamson-2025-06-05.ts';
import { liZhe20250630 } from './li-zhe-2025-06-30.ts';
import type { PublishedFigure } from './published-figure.ts';

/** All published figures. */
export const publishedFigures: readonly PublishedFigure[] = [
  ...liZhe20250630,
  ...alexWilliamson20250605,
];

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
