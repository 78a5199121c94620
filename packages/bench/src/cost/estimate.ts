/**
 * How long mapping a guest's memory takes, why, and what would help. Operations are exact, run at
 * two small sizes and extrapolated; seconds are operations times the costs of a profile. Every piece
 * of advice is the difference of two whole estimates, so that it may also say that a change hurts.
 *
 * @source reference cost.md §6
 */
import { formatSize, InputError, PAGE_SIZE, PMD_ORDER, type CounterValues } from '@pinfold/base';
import { backing as backingOf } from '../backings.ts';
import { predictWith, type Profile } from './calibration.ts';
import {
  COST_CLASSES,
  COST_CLASS_NAMES,
  costParts,
  unitsOf,
  type CostFacts,
  type CostPart,
  type CostUnits,
} from './classes.ts';
import { GIB_BYTES, kernelEra } from './eras.ts';
import type { PredictedSeconds } from './fit.ts';
import type { RunHistogram } from './histogram.ts';
import { countersOf } from './workload.ts';

/** A guest, or another process that maps its memory. */
export interface EstimatedVm {
  /** What it is called. */
  readonly name: string;
  /** Its memory in bytes. */
  readonly bytes: number;
  /** Name of the backing. */
  readonly backing: string;
  /** Physically contiguous runs of its memory; null: one run. With THP, runs of 2 MiB are THPs. */
  readonly runs: RunHistogram | null;
  /** Whether the memory is populated before it is mapped. */
  readonly populated: boolean;
  /** Threads that populate it; 0: something else has populated it, for nothing. */
  readonly preallocThreads: number;
  /** Containers into which it is mapped: devices behind vIOMMUs, or of several users. */
  readonly containers: number;
  /** Sizes of the device memory (BARs) that is mapped too, in bytes. */
  readonly bars: readonly number[];
}

/** A host. */
export interface EstimatedHost {
  /** Kernel or pin algorithm. */
  readonly kernel: string;
  /** Kind of the IOMMU; default VT-d. */
  readonly iommu?: string | undefined;
  /** `struct page`s of hugetlb pages share lines (HVO). */
  readonly hvo: boolean;
  /** RLIMIT_MEMLOCK in bytes; Infinity: none. */
  readonly memlock: number;
  /** The process has CAP_IPC_LOCK, so that no limit is tested. */
  readonly capIpcLock: boolean;
  /** Mappings that a container may have (dma_entry_limit). */
  readonly entryLimit: number;
}

/** Seconds of a whole, and what they consist of. */
export interface EstimatedTime extends PredictedSeconds {
  /** Seconds of each part; their sum is `seconds`. */
  readonly parts: Readonly<Record<CostPart, number>>;
}

/** What is estimated of one guest on one kernel. */
export interface VmEstimate {
  /** The guest. */
  readonly vm: EstimatedVm;
  /** The kernel. */
  readonly kernel: string;
  /** Name of the profile. */
  readonly profile: string;
  /** Populating the memory before it is mapped; 0 when it is not, or is populated already. */
  readonly populate: PredictedSeconds;
  /** All VFIO_IOMMU_MAP_DMA calls. */
  readonly map: EstimatedTime;
  /** All VFIO_IOMMU_UNMAP_DMA calls. */
  readonly unmap: EstimatedTime;
  /** Populating and mapping: what a start waits for. */
  readonly start: PredictedSeconds;
  /** Mappings of one container, and how many it may have. */
  readonly entries: {
    /** Mappings that the guest's memory and BARs take. */
    readonly needed: number;
    /** dma_entry_limit. */
    readonly limit: number;
  };
  /** Locked memory, in bytes. */
  readonly locked: {
    /** Of one container. */
    readonly container: number;
    /** Of the process: of all containers, which charge it one by one. */
    readonly process: number;
    /** RLIMIT_MEMLOCK. */
    readonly limit: number;
    /** By how much the limit is too low; 0: not at all. */
    readonly missing: number;
  };
  /** Memory of the IOMMU's page tables in bytes, of all containers. */
  readonly tableBytes: number;
}

/** Memory that a q35 guest has below 4 GiB: a mapping of its own. */
const LOW_SLOT = 2 * GIB_BYTES;

/**
 * Rates at which threads populate memory together, in bytes per second: beyond, more threads do not
 * help. THP of several threads collide: they fill it more slowly than one thread alone.
 *
 * @source published measurements `jordan2022-*-q16-*`: start of QEMU minus pin, 16 threads
 */
const POPULATE_CAP: Readonly<Record<'hugetlb' | 'anon', number>> = {
  hugetlb: 47 * GIB_BYTES,
  anon: 3.2 * GIB_BYTES,
};

/** A huge pfn mapping is followed leaf by leaf since 6.13, before page by page. */
const HUGE_PFNMAP_SINCE = 6013;

/**
 * Estimates one guest on one host.
 *
 * @param vm the guest
 * @param host the host
 * @param profile the costs
 * @returns times, limits and memory
 * @throws {InputError} when the size is no whole number of the backing's pages
 */
export function estimateVm(vm: EstimatedVm, host: EstimatedHost, profile: Profile): VmEstimate {
  checkVm(vm);
  const slots = slotsOf(vm);
  const counted = slots.map((bytes) => countSlot(vm, host, bytes));
  const map = sumUnits(
    vm.containers,
    counted.map((one) => one.map),
    barUnits(vm, host),
  );
  // Only the first container finds the memory absent.
  for (const name of [
    'clearSmall',
    'clearThp',
    'clearHugetlb',
    'faultSmall',
    'faultLarge',
  ] as const)
    if (map[name] !== undefined) map[name] /= vm.containers;
  const unmap = sumUnits(
    vm.containers,
    counted.map((one) => one.unmap),
    {},
  );
  const populate = populateTime(vm, profile);
  const mapTime = timeOf(profile, map);
  const tables = counted.reduce((sum, { tables: n }) => sum + n, 0);
  const process = vm.bytes * vm.containers;
  const limited = !host.capIpcLock && Number.isFinite(host.memlock);
  return {
    vm,
    kernel: host.kernel,
    profile: profile.name,
    populate,
    map: mapTime,
    unmap: timeOf(profile, unmap),
    start: addTimes(populate, mapTime),
    entries: { needed: slots.length + vm.bars.length, limit: host.entryLimit },
    locked: {
      ...{ container: vm.bytes, process, limit: host.memlock },
      missing: limited ? Math.max(0, process - host.memlock) : 0,
    },
    tableBytes: tables * PAGE_SIZE * vm.containers,
  };
}

function checkVm({ name, bytes, backing, containers, bars, runs }: EstimatedVm): void {
  const page = PAGE_SIZE * 2 ** backingOf(backing, name).order;
  if (bytes <= 0 || bytes % page !== 0) {
    const expected = `a multiple of ${formatSize(page)}, the page size of ${backing}`;
    throw new InputError(`${name}: memory`, expected, formatSize(bytes));
  }
  for (const bar of bars)
    if (bar <= 0 || bar % PAGE_SIZE !== 0)
      throw new InputError(`${name}: bars`, 'multiples of 4K', formatSize(bar));
  if (runs !== null && backingOf(backing).kind === 'hugetlb')
    throw new InputError(`${name}: layout`, 'memory of 4k or thp', backing);
  if (!Number.isInteger(containers) || containers < 1)
    throw new InputError(`${name}: containers`, 'a whole number from 1', String(containers));
}

/** The mappings of a q35 guest's memory: below 4 GiB, and the rest. */
function slotsOf({ bytes }: EstimatedVm): number[] {
  return bytes > LOW_SLOT ? [LOW_SLOT, bytes - LOW_SLOT] : [bytes];
}

interface CountedSlot {
  readonly map: CostUnits;
  readonly unmap: CostUnits;
  readonly tables: number;
}

/** The units of work of mapping and unmapping one slot in one container. */
function countSlot(vm: EstimatedVm, host: EstimatedHost, bytes: number): CountedSlot {
  const large = largeShare(vm);
  if (large === null) return countUniform(vm, host, bytes);
  // Where some runs are THPs and others are not, each kind is counted for itself.
  const page = PAGE_SIZE * 2 ** PMD_ORDER;
  const thpBytes = Math.round((bytes * large.share) / page) * page;
  const parts = [
    { vm: { ...vm, runs: null }, bytes: thpBytes },
    { vm: { ...vm, backing: '4k', runs: large.others }, bytes: bytes - thpBytes },
  ].filter((part) => part.bytes > 0);
  const counts = parts.map((part) => countUniform(part.vm, host, part.bytes));
  const oneIoctl = { ioctl: 1 - counts.length };
  return {
    map: sumUnits(1, [...counts.map(({ map }) => map), oneIoctl], {}),
    unmap: sumUnits(1, [...counts.map(({ unmap }) => unmap), oneIoctl], {}),
    tables: counts.reduce((sum, { tables }) => sum + tables, 0),
  };
}

/** How much of THP memory is in runs of 2 MiB and more, and the shorter runs; null: nobody says. */
function largeShare({ backing, runs }: EstimatedVm): LargeShare | null {
  if (runs === null || backing !== 'thp') return null;
  const pages = (of: RunHistogram): number =>
    of.reduce((sum, run) => sum + run.npage * run.count, 0);
  const others = runs.filter(({ npage }) => npage < 2 ** PMD_ORDER);
  return { share: 1 - pages(others) / pages(runs), others };
}

interface LargeShare {
  readonly share: number;
  readonly others: RunHistogram;
}

function countUniform(vm: EstimatedVm, host: EstimatedHost, bytes: number): CountedSlot {
  const { kind, layout } = memoryOf(vm);
  const era = kernelEra(/^\d/.test(host.kernel) ? `v${host.kernel}` : 'v6.18');
  const facts: CostFacts = {
    memory: kind,
    writeNotify: false,
    thpStepsByPage: era.thpStepsByPage,
    longtermReadsPages: era.longtermReadsPages,
    hvo: host.hvo && kind === 'hugetlb',
    pagesCleared: vm.populated ? 0 : bytes / PAGE_SIZE,
    starts: 0,
  };
  const of = (call: 'map' | 'unmap'): CounterValues =>
    countersOf({
      ...{ call, bytes, kernel: host.kernel, backing: vm.backing, layout, warm: false, facts },
      runs: vm.runs,
      ...(host.iommu === undefined ? {} : { iommu: host.iommu }),
    });
  const mapped = of('map');
  const unmapFacts = { ...facts, pagesCleared: 0 };
  return {
    map: unitsOf(mapped, facts),
    unmap: unitsOf(of('unmap'), unmapFacts),
    tables: mapped.iommuTableAllocs,
  };
}

function memoryOf(vm: EstimatedVm): { kind: CostFacts['memory']; layout: string } {
  const { kind, order } = backingOf(vm.backing);
  const layout = order === 0 ? 'T4' : order === 9 ? 'H2' : 'H1';
  return { kind: kind === 'hugetlb' ? 'hugetlb' : 'anon', layout };
}

/** Device memory is followed by leaf or by page, and neither pinned nor charged. */
function barUnits({ bars }: EstimatedVm, { kernel }: EstimatedHost): CostUnits {
  if (bars.length === 0) return {};
  const [, major = 7, minor = 0] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  const byLeaf = Number(major) * 1000 + Number(minor) >= HUGE_PFNMAP_SINCE;
  const follows = bars.map((bytes) => Math.ceil(bytes / (byLeaf ? GIB_BYTES : PAGE_SIZE)));
  const pfnmapFollow = follows.reduce((a, b) => a + b, 0);
  return { ioctl: bars.length, pfnmapFollow, iommuMapCall: bars.length };
}

type Sum = { -readonly [Name in keyof CostUnits]: number };

function sumUnits(times: number, each: readonly CostUnits[], more: CostUnits): Sum {
  const sum: Sum = {};
  for (const units of [...each, more])
    for (const name of COST_CLASS_NAMES) {
      const n = units[name];
      if (n !== undefined) sum[name] = (sum[name] ?? 0) + n * times;
    }
  return sum;
}

function timeOf(profile: Profile, units: CostUnits): EstimatedTime {
  const { classes, mean } = profile.posterior;
  const parts = Object.fromEntries(costParts.map((part) => [part, 0])) as Record<CostPart, number>;
  classes.forEach((name, i) => {
    parts[COST_CLASSES[name].part] += ((units[name] ?? 0) * mean[i]) / 1e9;
  });
  return { ...predictWith(profile, units), parts };
}

/** Populating: by threads, up to what threads reach together. */
function populateTime(vm: EstimatedVm, profile: Profile): PredictedSeconds {
  const { bytes, populated, preallocThreads: threads } = vm;
  if (!populated || threads === 0) return { seconds: 0, low: 0, high: 0 };
  const { kind, order } = backingOf(vm.backing);
  const isHugetlb = kind === 'hugetlb';
  const clear = isHugetlb ? 'clearHugetlb' : order === 0 ? 'clearSmall' : 'clearThp';
  const fault = order === 0 ? 'faultSmall' : 'faultLarge';
  const pages = bytes / PAGE_SIZE;
  const alone = predictWith(profile, { [clear]: pages, [fault]: pages / 2 ** order });
  const cap = POPULATE_CAP[isHugetlb ? 'hugetlb' : 'anon'];
  const together = threads === 1 ? 0 : bytes / cap;
  const factor = Math.max(alone.seconds / threads, together) / alone.seconds;
  return scaleTime(alone, factor);
}

function scaleTime({ seconds, low, high }: PredictedSeconds, by: number): PredictedSeconds {
  return { seconds: seconds * by, low: low * by, high: high * by };
}

/** Two times one after the other; what is uncertain in both goes up and down together. */
function addTimes(a: PredictedSeconds, b: PredictedSeconds): PredictedSeconds {
  return { seconds: a.seconds + b.seconds, low: a.low + b.low, high: a.high + b.high };
}

/** A change, and what it would do. */
export interface Advice {
  /** The change, as the beginning of a sentence. */
  readonly change: string;
  /** Seconds of the start as it is, minus seconds with the change: negative when it hurts. */
  readonly saves: number;
  /** The whole estimate with the change. */
  readonly estimate: VmEstimate;
}

/** Threads with which populating first is tried when nobody says how many. */
const THREADS = 16;

/**
 * What would change the start of a guest, the best first: each the difference of two whole
 * estimates.
 *
 * @param vm the guest
 * @param host the host
 * @param profile the costs
 * @param newest the newest kernel that is modelled
 * @returns changes, those that hurt included
 */
export function adviceFor(
  vm: EstimatedVm,
  host: EstimatedHost,
  profile: Profile,
  newest: string,
): Advice[] {
  const now = estimateVm(vm, host, profile);
  const changes: [string, Partial<EstimatedVm>, Partial<EstimatedHost>][] = [];
  for (const backing of ['thp', 'hugetlb-2m', 'hugetlb-1g']) {
    const page = PAGE_SIZE * 2 ** backingOf(backing).order;
    if (backing === vm.backing || vm.bytes % page !== 0) continue;
    changes.push([`${backing} as backing`, { backing, runs: null }, {}]);
  }
  if (!vm.populated) {
    const [populated, threads] = [true, Math.max(vm.preallocThreads, 1)];
    changes.push(['populate first, with one thread', { populated, preallocThreads: 1 }, {}]);
    const many = threads > 1 ? threads : THREADS;
    changes.push([
      `populate first, with ${many} threads`,
      { populated, preallocThreads: many },
      {},
    ]);
  } else if (vm.preallocThreads > 0)
    changes.push(['leave populating to the map', { populated: false }, {}]);
  if (host.kernel !== newest) changes.push([`kernel ${newest}`, {}, { kernel: newest }]);
  if (!host.hvo && vm.backing.startsWith('hugetlb'))
    changes.push(['hugetlb_free_vmemmap=on (HVO)', {}, { hvo: true }]);
  return changes
    .map(([change, vmChange, hostChange]): Advice => {
      const changed = { ...host, ...hostChange };
      const estimate = estimateVm({ ...vm, ...vmChange }, changed, profile);
      return { change, saves: now.start.seconds - estimate.start.seconds, estimate };
    })
    .sort((a, b) => b.saves - a.saves);
}
