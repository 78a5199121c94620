/**
 * What a published measurement measured, as a workload; or why it cannot be one. The rules read
 * what a record states: call, kernel, variant, memory and host. None looks at its name or seconds.
 */
import { GIB_BYTES, kernelEra } from './eras.ts';
import type { CostFacts } from './classes.ts';
import type { CostWorkload } from './workload.ts';
import type { PublishedRecord } from '../published/record.ts';

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
  if (!(op in CALLS)) return 'a whole start or test, of which mapping is an unknown part';
  if (record.seconds === null && record.seconds_from_rate === undefined)
    return 'a ratio or a bound, no time';
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
  return null;
}

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
  const memory = memoryOf(record);
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
  const kernel = call === 'gup' || call === 'put' ? '6.16' : algorithmOf(variant, call, era.kernel);
  const { backing, layout } = memory;
  return { call, bytes, kernel, backing, layout, warm: false, facts };
}

interface LinkedMemory {
  readonly kind: CostFacts['memory'];
  readonly backing: string;
  readonly layout: string;
}

/** The memory behind an author's words. What is not stated is 2 MiB for huge pages. */
function memoryOf({ backing, page_size: page, op }: PublishedRecord): LinkedMemory {
  if (backing.includes('MAP_SHARED')) return { kind: 'shmem', backing: '4k', layout: 'T4' };
  if (/hugetlb|hugepages|1 ?G(?:iB)? (?:huge)?page/i.test(backing))
    return page === 2 ** 30
      ? { kind: 'hugetlb', backing: 'hugetlb-1g', layout: 'H1' }
      : { kind: 'hugetlb', backing: 'hugetlb-2m', layout: 'H2' };
  const small = page === 4096 || /small|4K|no THP/.test(backing) || op === 'qemu-start';
  if (small) return { kind: 'anon', backing: '4k', layout: 'T4' };
  return { kind: 'anon', backing: 'thp', layout: 'H2' };
}

/** Pin algorithms by what a variant says that it changes in a map, the first that fits. */
const MAP_ALGORITHMS: readonly (readonly [RegExp, string])[] = [
  [/one page per gup/, 'page-at-a-time'],
  [/batches of 512/, 'batched-page-array'],
  [/unpin (?:only|patch only|side only)|^unpin RFC/i, ''],
  [/hugetlb batch step|hugetlb only/, 'hugetlb-v1-2025'],
  [/page-compare|page compar|nth_page|num_pages_contiguous/, 'series-1-4'],
  [/v[4-9] (?:series|patch)|v[23] series|merged|map side/, 'series-1-4'],
  [/folio|pin patch|v1 series/, 'series-1-folio'],
];

/** The same for an unmap. */
const UNMAP_ALGORITHMS: readonly (readonly [RegExp, string])[] = [
  [/one page per gup/, 'page-at-a-time'],
  [/map side|pin patch \([^)]*\)(?: only)?$|pin-only|pin patch only/, ''],
  [/range unpin|page_range_dirty_lock|unpin_user_page_range|has_rsvd|series/, 'series-1-4'],
  [/unpin_user_folio_dirty_locked|unpin v[45]/, 'unpin-folio-2025'],
  [/unpin RFC|RFC v\d/i, 'unpin-rfc-2025'],
];

/** The algorithm of a variant in a call: its own, or the kernel's. */
function algorithmOf(variant: string, call: 'map' | 'unmap', kernel: string): string {
  if (/^base\b(?!: one page)/.test(variant)) return kernel;
  const table = call === 'map' ? MAP_ALGORITHMS : UNMAP_ALGORITHMS;
  const found = table.find(([says]) => says.test(variant));
  return found !== undefined && found[1] !== '' ? found[1] : kernel;
}
