/**
 * The release that answers for a kernel as `uname -r` names it: its series if that is modelled, else the
 * modelled one that is nearest, with what is known to differ.
 */
import { InputError } from '@pinfold/base';
import { factIn, type Fact, type History } from './history/fact.ts';
import { histories } from './changes.ts';
import { kernelVersions } from './kernel-versions.ts';
import { seriesNumber } from './series.ts';
import type { KernelVersion } from './kernel-version.ts';

/** A release that stands for a kernel. */
export interface StandIn {
  /** The kernel as asked for. */
  readonly asked: string;
  /** Its series. */
  readonly series: string;
  /** The release that answers. */
  readonly kernel: KernelVersion;
  /** Whether the series is modelled itself. */
  readonly isExact: boolean;
  /** What holds in one of the two and not in the other, as far as it is known. */
  readonly differs: readonly string[];
}

/**
 * What came between the oldest modelled releases and older ones, and is in no history because no modelled
 * release is without it.
 *
 * @source include/uapi/linux/vfio.h and drivers/vfio/vfio_iommu_type1.c of the releases named
 */
const BEFORE_ALL: readonly Pick<Fact, 'since' | 'what'>[] = [
  { since: '5.4', what: 'GET_INFO lists the usable iova ranges, and MAP_DMA tests them' },
  { since: '5.6', what: 'pinned pages are counted by FOLL_PIN (nr_foll_pin_acquired)' },
  { since: '5.8', what: 'VFIO_IOMMU_DIRTY_PAGES logs dirty pages' },
  { since: '5.10', what: 'GET_INFO tells how many mappings may still be made (DMA_AVAIL)' },
  { since: '5.13', what: 'pages are pinned in batches of 512, not one by one' },
  {
    since: '5.19',
    what: 'a group is claimed when it joins a container, not when a device is opened',
  },
];

/** `uname -r`: series, point release, and what a distribution adds. */
const RELEASE = /^v?(\d{1,2})\.(\d{1,3})(?:\.\d{1,3})?(?:[-+~.][\w.+~-]*)?$/;

/**
 * Finds the release that answers for a kernel.
 *
 * @param name as `uname -r` prints it, such as `6.8.12-2-pve` or `6.14.6-300.fc42.x86_64`
 * @param place where it stands, for messages
 * @returns the release, and what is known to differ
 * @throws {InputError} when it is no name of a kernel
 */
export function standInFor(name: string, place = 'kernel'): StandIn {
  const [, major, minor] = RELEASE.exec(name.trim()) ?? [];
  if (major === undefined || minor === undefined) {
    const known = kernelVersions.map((candidate) => candidate.series).join(', ');
    const expected = `a kernel as uname -r names it; modelled are ${known}`;
    throw new InputError(place, expected, `'${name}'`);
  }
  const series = `${Number(major)}.${Number(minor)}`;
  const own = kernelVersions.find((candidate) => candidate.series === series);
  const asked = name.trim();
  if (own) return { asked, series, kernel: own, isExact: true, differs: [] };
  const at = seriesNumber(series);
  const older = kernelVersions.findLast((candidate) => seriesNumber(candidate.series) < at);
  const newer = kernelVersions.find((candidate) => seriesNumber(candidate.series) > at);
  const candidates = [older, newer].flatMap((kernel) => {
    return kernel ? [{ kernel, differs: differences(series, kernel.series) }] : [];
  });
  const distance = (kernel: KernelVersion): number => Math.abs(seriesNumber(kernel.series) - at);
  // Of two that are equally near, the one of which less is known to differ.
  const [nearest] = candidates.sort(
    (one, other) =>
      distance(one.kernel) - distance(other.kernel) || one.differs.length - other.differs.length,
  );
  return { asked, series, ...nearest, isExact: false };
}

/** What is known to differ between two series, oldest first. */
function differences(series: string, other: string): string[] {
  const [from, to] = [series, other].map(seriesNumber).sort((a, b) => a - b);
  const between = ({ since }: Pick<Fact, 'since'>): boolean =>
    since !== null && seriesNumber(since) > from && seriesNumber(since) <= to;
  const facts: Pick<Fact, 'since' | 'what'>[] = histories.flatMap((history: History<unknown>) =>
    factIn(history, series) === factIn(history, other) ? [] : history.filter(between),
  );
  const all = [...BEFORE_ALL.filter(between), ...facts];
  return all
    .sort((a, b) => seriesNumber(a.since ?? '') - seriesNumber(b.since ?? ''))
    .map(({ since, what }) => `since ${since}: ${what}`);
}

/**
 * What stands for what, in a sentence.
 *
 * @param standIn a kernel, and the release that answers for it
 * @returns the sentence; empty where the kernel itself is modelled
 */
export function standInText({ asked, kernel, isExact, differs }: StandIn): string {
  if (isExact) return '';
  const known =
    differs.length === 0
      ? 'nothing that the model knows of differs between the two'
      : `known to differ: ${differs.join('; ')}`;
  return `${asked} is not modelled: ${kernel.series} answers for it, the nearest release; ${known}.`;
}
