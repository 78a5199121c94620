/** What has changed from one release to the next. */
import { factIn, type Fact, type History } from './history/fact.ts';
import { formatHistory, iommuHistory } from './history/iommu.ts';
import { mmHistory } from './history/mm.ts';
import { type1History } from './history/type1.ts';
import { kernelVersions } from './kernel-versions.ts';
import type { KernelVersion } from './kernel-version.ts';

/** Something that holds in a release. */
export type Change = Pick<Fact, 'since' | 'what' | 'source'>;

/** All histories, those of type1 first. */
export const histories: readonly History<unknown>[] = [
  ...Object.values<History<unknown>>(type1History),
  ...Object.values<History<unknown>>(mmHistory),
  ...Object.values<History<unknown>>(iommuHistory),
  ...Object.values<History<unknown>>(formatHistory),
];

/**
 * What holds in a release and did not in the modelled one before it; of the oldest, all that holds.
 *
 * @param kernel the release
 * @returns the facts, those of type1 first
 */
export function changesIn({ series }: KernelVersion): Change[] {
  const at = kernelVersions.findIndex((kernel) => kernel.series === series);
  const before = kernelVersions[at - 1];
  return histories
    .map((history) => [factIn(history, series), before && factIn(history, before.series)])
    .filter(([now, then]) => now !== then)
    .map(([{ since, what, source }]) => ({ since, what, source }));
}
