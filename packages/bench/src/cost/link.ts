/**
 * What a published measurement measured, as a workload; or why it cannot be one. The rules read
 * what a record states: call, kernel, variant, memory and host. None looks at its name or seconds.
 */
import { formatSize, PAGE_SIZE } from '@pinfold/base';
import { kernelVersions } from '@pinfold/kernels';
import { backing as backingOf } from '../backings.ts';
import { GIB_BYTES, kernelEra, versionIn } from './eras.ts';
import type { CostFacts } from './classes.ts';
import { linkedAlgorithm } from './linked-algorithm.ts';
import { linkedMemory, type LinkedMemory } from './linked-memory.ts';
import type { CostWorkload } from './workload.ts';
import { secondsOf, type PublishedRecord } from '../published/record.ts';

/** A measurement's workload, or why it has none or is not fitted. */
export interface Link {
  /** The workload; null when the model cannot express it. */
  readonly workload: CostWorkload | null;
  /** Why it has none, or why it is not fitted and not judged; null: it is. */
  readonly reason: string | null;
  /** Name of the host's profile; null when no profile is made of its host. */
  readonly profile: string | null;
}

/** Hosts of which a profile is made, by who measured and what the host is. */
const HOSTS: readonly (readonly [RegExp, RegExp, string])[] = [
  [/^Li Zhe/, /Li Zhe/, 'li-zhe-2025'],
  [/^Alex Williamson/, /device 0000:0b:00/, 'williamson-2025'],
  [/^Daniel Jordan/, /Xeon Platinum 8167M/, 'jordan-2022-intel'],
  [/^Daniel Jordan/, /EPYC|AMD/, 'jordan-2022-amd'],
  [/^Daniel Jordan/, /Broadwell/, 'jordan-2021'],
];

/**
 * Links a measurement to a workload.
 *
 * @param record the measurement
 * @returns its workload and profile, or the reason
 */
export function linkOf(record: PublishedRecord): Link {
  const profile = profileOf(record);
  const impossible = whyNoWorkload(record);
  if (impossible !== null) return { workload: null, reason: impossible, profile };
  const workload = workloadOf(record);
  return { workload, reason: whyNotFitted(record), profile };
}

/**
 * The profile of the host on which a record was measured.
 *
 * @param record the measurement
 * @returns its name, or null
 */
function profileOf({ source, hardware }: PublishedRecord): string | null {
  const found = HOSTS.find(
    ([author, host]) => author.test(source.author) && host.test(hardware ?? ''),
  );
  return found ? found[2] : null;
}

/** Calls that a workload can be. */
const CALLS: Readonly<Record<string, CostWorkload['call']>> = {
  map: 'map',
  'map+clear': 'map',
  unmap: 'unmap',
  'gup-longterm': 'gup',
  unpin: 'put',
  'qemu-start': 'map',
};

/** Why the model cannot express what was measured, or null. */
function whyNoWorkload(record: PublishedRecord): string | null {
  const { op, variant, backing, size_bytes: bytes, notes } = record;
  if (op === 'iommu_map' || op === 'iommu_unmap')
    return 'page-table code alone, called by a micro-benchmark: no VFIO call to count';
  if (op === 'dma_map' || op === 'dma_unmap')
    return 'kernel DMA API on an SMMUv3, with its invalidations: not modelled';
  if (op === 'pin')
    return 'pins of a mediated device on 4.19 or s390: kernels that are not modelled';
  if (op === 'gup-fast') return 'GUP-fast on a tree of 2021: not modelled';
  if (op === 'populate') return 'memory populated by threads, without VFIO';
  if (!(op in CALLS))
    return `'${op}': none of ${Object.keys(CALLS).join(', ')}, which are modelled`;
  if (isRatioOrBound(record)) return 'a ratio or a bound, no time';
  if (bytes === null || bytes === 0) return 'the size is not stated';
  if (/not VFIO|vendor kernel driver|CI runner/.test(`${variant} ${record.hardware}`))
    return 'another driver than VFIO';
  if (/PFNMAP|BAR/.test(backing)) return 'device memory: no profile has its costs';
  if (/iommufd/i.test(`${variant} ${backing}`)) return 'iommufd: no profile has its costs';
  if (/padata (?:[2-9]|[1-9]\d)|padata\D+16/.test(variant))
    return 'pinned by several padata threads, a series that was never merged';
  if (/memory-backend|zeroing/.test(variant)) return 'a user report: noise of a factor of 20';
  if (/rejected|refcount add/.test(variant)) return 'an RFC that is not modelled';
  if (/refcount (?:update|subtraction)|tight loop|nth_page\(\)|page\+\+|v1 patch 1/.test(variant))
    return 'a version of hugetlb GUP of 2021 that is not modelled';
  if (/one lookup|looked up once per 4K/.test(variant) && !notes.includes('gup_test'))
    return 'a GUP patch that is not modelled';
  return whyUnknown(record, bytes);
}

/** Whether an author gave something else than a time; a row without any figure can be predicted. */
function isRatioOrBound(record: PublishedRecord): boolean {
  if (secondsOf(record) !== null) return false;
  const { ratio, range_seconds: range, share, speedup_printed: speedup } = record;
  const { upper_bound_seconds: upper, lower_bound_seconds: lower } = record;
  return [ratio, range, share, speedup, upper, lower].some((figure) => figure !== undefined);
}

/** Why kernel, change, memory or size are none that the model has, or null. */
function whyUnknown(record: PublishedRecord, bytes: number): string | null {
  const { op, variant, kernel_base: base } = record;
  const version = versionIn(base);
  if (version !== null && (version < OLDEST || version > newest()))
    return `kernel '${base}': not modelled, nor near one that is`;
  if ((record.threads ?? 1) > 1) return 'done by several threads at once';
  const memory = linkedMemory(record);
  if (typeof memory === 'string') return memory;
  if (linkedAlgorithm(variant, CALLS[op], '') === null)
    return `a change that is not modelled: '${variant}'`;
  const page = PAGE_SIZE * 2 ** backingOf(memory.backing).order;
  if (bytes % page !== 0) return `a size that is no multiple of ${formatSize(page)}`;
  return bytes > LARGEST ? `more than ${formatSize(LARGEST)}` : null;
}

/** The oldest kernel whose map can be told from that of a modelled one, as {@link versionIn} says. */
const OLDEST = 5010;

/** The newest that is modelled. */
function newest(): number {
  return Math.max(...kernelVersions.map(({ series }) => versionIn(series) ?? 0));
}

/** Bytes that the tables of one domain are extrapolated to. */
const LARGEST = 64 * 2 ** 40;

/** Why a row that has a workload is neither fitted nor judged, or null. */
function whyNotFitted(record: PublishedRecord): string | null {
  const { op, variant, notes, size_bytes: bytes, backing, hardware } = record;
  const traced = /function_graph|trace-cmd/.test(notes) && !notes.includes('2 MiB in the same');
  if (traced) return 'timed under function_graph, which slows every call';
  if (variant.includes('READ_ONCE') && op === 'gup-longterm')
    return 'three versions of one patch, 20 % apart';
  if (/^Joao|^martins/.test(record.source.author) && variant.includes('base'))
    return 'one figure for get and put';
  if (record.seconds === 0) return 'printed as 0.0: below half of the last digit';
  if (
    /AMD|EPYC/.test(hardware ?? '') &&
    op === 'map' &&
    backing.includes('THP') &&
    (bytes ?? 0) > 512 * GIB_BYTES
  )
    return "36 % off the same host's smaller rows";
  if (record.approximate) return 'rounded by its author in prose';
  return null;
}

/** Memory that lies below 4 GiB in a q35 guest: the largest pin is of the rest (our inference). */
const BELOW_4G = 2 * GIB_BYTES;

function workloadOf(record: PublishedRecord): CostWorkload {
  const { op, variant, kernel_base: base, notes } = record;
  const call = CALLS[op];
  const memory = linkedMemory(record) as LinkedMemory;
  const era = kernelEra(`${base} ${/page per gup|batches of 512/.test(variant) ? 'v5.11' : ''}`);
  const largestPin = /largest VFIO page pin|Thread scaling/.test(notes);
  const bytes = (record.size_bytes ?? 0) - (largestPin ? BELOW_4G : 0);
  const cleared = op === 'map+clear' || op === 'qemu-start';
  const facts: CostFacts = {
    memory: memory.kind,
    writeNotify: memory.kind === 'shmem' && record.backing.includes('MAP_POPULATE'),
    thpStepsByPage: era.thpStepsByPage || variant.includes('looked up once per 4K'),
    longtermReadsPages: era.longtermReadsPages && !variant.includes('READ_ONCE'),
    hvo: false,
    pagesCleared: cleared ? bytes / 4096 : 0,
    starts: op === 'qemu-start' ? 1 : 0,
  };
  const isGup = call === 'gup' || call === 'put';
  const kernel = linkedAlgorithm(variant, call, isGup ? '6.16' : era.kernel) ?? era.kernel;
  const { backing, layout } = memory;
  const iommu = /AMD|EPYC/.test(record.hardware ?? '') ? { iommu: 'amd' } : {};
  return { call, bytes, kernel, backing, layout, warm: false, facts, ...iommu };
}
