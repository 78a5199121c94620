/** Steps in words: the kernel's call as a trace writes it, and a sentence on what it did. */
import { formatSize, PAGE_SIZE, Slot, type TracedFunction } from '@pinfold/base';
import { address, callText, count, hex, pages, pagesAre, plural } from './call-text.ts';
import { pfnOf, type MemoryShape } from './memory-shape.ts';
import { batchOf, Col, Kind, type Step } from './steps.ts';

/** What a step is said with. */
export interface Told {
  /** The step. */
  readonly step: Step;
  /** The one before it, for what the counters have gained; null if there is none, or none here. */
  readonly before: Step | null;
  /** The memory. */
  readonly shape: MemoryShape;
}

/** A step in words. */
export interface Explanation {
  /** The call, as a trace writes it: `vaddr_get_pfns(vaddr=0x1000000000, npages=512)`. */
  readonly call: string;
  /** What it is about. */
  readonly text: string;
}

/**
 * A step in words.
 *
 * @param told the step and what is around it
 * @returns the call and a sentence; none if the step before is not known
 */
export function explain(told: Told): Explanation {
  const { step, before } = told;
  const isKnown = step.index === 0 || before !== null;
  return { call: callText(step), text: isKnown ? sentence(told) : '' };
}

/** By how much a counter has grown in this step. */
function gained({ step, before }: Told, slot: number): number {
  return step.counters[slot] - (before?.counters[slot] ?? 0);
}

function sentence(told: Told): string {
  const { step } = told;
  const kind = step.at(Col.kind);
  if (step.fn === null) return ioctlSentence(told);
  if (kind === Kind.take) return takeSentence(told);
  if (kind === Kind.exit) return RETURNS[step.fn]?.(told) ?? 'Back to the caller.';
  return CALLS[step.fn]?.(told) ?? '';
}

function ioctlSentence({ step, shape }: Told): string {
  const isMap = step.at(Col.phase) === 0;
  const returns = step.at(Col.kind) === Kind.exit;
  if (isMap && returns)
    return `All ${pagesAre(shape.npage)} pinned, charged and mapped: the device can use them. What follows takes it all back.`;
  if (isMap)
    return `The process wants its ${pages(shape.npage)} to appear to the device. vfio_pin_map_dma goes through them: pin a physically contiguous chunk, map it, and again.`;
  if (returns) return 'Nothing is mapped, pinned or charged any more.';
  return 'The process takes its memory back: first from the IOMMU, then out of the IOTLB, and only then may the pages be unpinned.';
}

function takeSentence(told: Told): string {
  const { step, shape } = told;
  const taken = step.at(Col.a);
  const left = step.at(Col.b);
  const next = step.at(Col.chunkStart) + step.at(Col.chunkPinned);
  const expected = step.at(Col.pfnBase) + step.at(Col.chunkPinned);
  const compares = comparesOf(told);
  const took =
    taken > 0
      ? `${taken === 1 ? 'One entry continues' : `${count(taken)} entries continue`} the chunk, found by ${compares}. `
      : '';
  if (left === 0) {
    const isDone = next >= shape.npage;
    return `${took}The batch is empty${isDone ? ' and the mapping complete' : ': the chunk may go on in the next one'}.`;
  }
  const pfn = pfnOf(shape.folioPfns, shape.folioOrder, next);
  return `${took}The next entry is frame ${hex(pfn)}, the chunk would need ${hex(expected)}: here it ends, and ${left === 1 ? 'this entry waits' : `${count(left)} entries wait`} for the next chunk.`;
}

/** The tests of a take, as far as there were any. */
function comparesOf(told: Told): string {
  const parts = (
    [
      [Slot.pageCompares, 'compares of page pointers', 'compare of page pointers'],
      [Slot.pfnCompares, 'compares of frame numbers', 'compare of frame numbers'],
      [Slot.folioLookups, 'folio look-ups', 'folio look-up'],
      [Slot.hugetlbTests, 'hugetlb tests', 'hugetlb test'],
      [Slot.vpfnLookups, 'look-ups of external pins', 'look-up of external pins'],
      [Slot.limitTests, 'limit tests', 'limit test'],
    ] as const
  ).flatMap(([slot, many, one]) => {
    const n = gained(told, slot);
    return n > 0 ? [`${count(n)} ${n === 1 ? one : many}`] : [];
  });
  const last = parts.pop();
  if (last === undefined) return 'no compare at all';
  return parts.length === 0 ? last : `${parts.join(', ')} and ${last}`;
}

type Sentences = Partial<Record<TracedFunction, (told: Told) => string>>;

const CALLS: Sentences = {
  vfio_pin_pages_remote: ({ step }) => {
    const at = step.at(Col.chunkStart);
    const left = batchOf(step.row).entries;
    const start = at === 0 ? 'The first chunk' : `A new chunk, from page ${count(at)} on`;
    return left > 0
      ? `${start}. The batch still holds ${plural(left, 'pinned entry', 'pinned entries')}: no GUP call is needed for ${left === 1 ? 'it' : 'them'}.`
      : `${start}. The batch is empty.`;
  },
  vaddr_get_pfns: ({ step }) => {
    const wanted = Math.min(512, step.at(Col.c));
    return `The batch is empty: fill it with up to ${pages(wanted)}.`;
  },
  pin_user_pages_remote: ({ step }) =>
    `GUP takes the mmap lock for reading and asks for ${pages(step.at(Col.c))}, to stay for long and to be written by the device.`,
  __gup_longterm_locked: (told) => {
    const leaves = plural(gained(told, Slot.gupSteps), 'page-table leaf', 'page-table leaves');
    const grabs = plural(gained(told, Slot.folioGrabs), 'call');
    const atomics = plural(gained(told, Slot.grabAtomics), 'atomic operation');
    return `GUP reads ${leaves} and pins by ${grabs} of try_grab_folio, ${atomics}. ${plural(batchOf(told.step.row).entries, 'pointer lies', 'pointers lie')} in the batch’s array.`;
  },
  is_invalid_reserved_pfn: ({ step }) =>
    `Frame ${hex(step.at(Col.a))} begins a chunk. Is it device memory, without a struct page of its own? ${step.at(Col.ret) === 0 ? 'No: its pages will be charged.' : 'Yes: nothing is charged.'}`,
  'is_invalid_reserved_pfn (inlined)': ({ step }) =>
    `put_pfn asks whether frame ${hex(step.at(Col.a))} is device memory, without a struct page of its own. ${step.at(Col.ret) === 0 ? 'No: it is unpinned.' : 'Yes: there is nothing to unpin.'}`,
  vfio_lock_acct: ({ step }) =>
    step.at(Col.a) >= 0
      ? `The chunk is complete. Its ${pagesAre(step.at(Col.a))} charged to the process.`
      : `The charge of all ${pages(-step.at(Col.a))} is taken back at once.`,
  mm_lock_acct: () => 'The mmap lock is taken for writing.',
  __account_locked_vm: ({ step }) =>
    `locked_vm is ${pages(step.at(Col.lockedVm))} now; with a limit (RLIMIT_MEMLOCK) this is where it counts.`,
  iommu_map: ({ step }) =>
    `Map the chunk: ${pages(step.at(Col.c))} from frame ${hex(step.at(Col.b))} on, at I/O address ${address(step.at(Col.a))}.`,
  iommu_map_nosync: () => 'The core splits the range by the page sizes of the IOMMU.',
  intel_iommu_map_pages: (told) =>
    `The driver writes ${plural(told.step.at(Col.d), 'leaf', 'leaves')} of ${formatSize(told.step.at(Col.c) * PAGE_SIZE)}.${tables(told)}`,
  vfio_remove_dma: ({ step }) => `The mapping of ${pages(step.at(Col.b))} is to go.`,
  vfio_unmap_unpin: () =>
    'Nobody has noted which frames were pinned: they are read back from the IOMMU, run by run.',
  iommu_iova_to_phys: ({ step, shape }) => {
    const n = step.at(Col.n);
    const at = step.at(Col.a) - shape.iovaPn;
    const first = `Where does page ${count(at)} lead? To frame ${hex(step.at(Col.ret))}`;
    return n > 1
      ? `${first}. And the next ones? ${count(n)} look-ups, each one walk of the I/O page table, find consecutive frames.`
      : `${first}.`;
  },
  iommu_unmap_fast: ({ step }) =>
    `Unmap the run of ${pages(step.at(Col.b))}; the IOTLB is flushed later, for many runs at once.`,
  intel_iommu_unmap_pages: ({ step }) =>
    `The driver clears ${plural(step.at(Col.c), 'leaf', 'leaves')} of ${formatSize(step.at(Col.b) * PAGE_SIZE)}. The device may still have ${step.at(Col.c) === 1 ? 'it' : 'them'} in its IOTLB.`,
  iommu_unmap: ({ step }) => `Unmap ${pages(step.at(Col.b))} and flush the IOTLB at once.`,
  vfio_sync_unpin: ({ step }) =>
    `${plural(step.at(Col.a), 'region waits', 'regions wait')}, of 512 at most: flush, then unpin.`,
  intel_iommu_tlb_sync: () => 'From the flush on, the device reaches none of it.',
  cache_tag_flush_range: () => 'The IOTLB forgets the whole range.',
  vfio_unpin_pages_remote: ({ step }) =>
    `Unpin a region: ${pages(step.at(Col.c))} from frame ${hex(step.at(Col.b))} on.`,
  put_pfn: ({ step }) =>
    `Frame ${hex(step.at(Col.a))} does not belong to the chunk: its pin is given back.`,
  unpin_user_pages_dirty_lock: (told) =>
    `${plural(told.step.at(Col.n), 'call')}, one per page: each page is put on its own.`,
  unpin_user_page_range_dirty_lock: ({ step }) =>
    `One call for ${pages(step.at(Col.a))}: folio by folio.`,
  unpin_user_pages: ({ step }) => `${pagesAre(step.at(Col.a))} put.`,
  unpin_user_page: () => 'One page is put.',
};

const RETURNS: Sentences = {
  vaddr_get_pfns: ({ step }) =>
    `The batch holds ${plural(batchOf(step.row).entries, 'pinned entry that belongs', 'pinned entries that belong')} to no chunk yet.`,
  pin_user_pages_remote: ({ step }) => `${pagesAre(step.at(Col.ret))} pinned; the lock is free.`,
  vfio_pin_pages_remote: ({ step }) =>
    `A chunk of ${pages(step.at(Col.ret))} is pinned and charged, but the device does not see it yet.`,
  vfio_lock_acct: ({ step }) => `Charged: ${pages(step.at(Col.lockedVm))} in all.`,
  mm_lock_acct: () => 'The mmap lock is free.',
  iommu_map_nosync: (told) => `All pages of the chunk are in the I/O page table.${tables(told)}`,
  iommu_map: ({ step }) => `The device reaches ${pages(step.at(Col.mapped))} now.`,
  iommu_unmap_fast: ({ step }) =>
    `${pagesAre(step.at(Col.ret))} unmapped; ${plural(step.at(Col.regions), 'region waits', 'regions wait')} for the flush.`,
  vfio_unpin_pages_remote: (told) =>
    `${pagesAre(told.step.at(Col.ret))} unpinned, with ${plural(gained(told, Slot.putCalls), 'folio put')} and ${plural(gained(told, Slot.putAtomics), 'atomic operation')}; ${plural(told.step.at(Col.pins), 'pin is', 'pins are')} left.`,
  vfio_sync_unpin: ({ step }) => `All waiting regions are unpinned: ${pages(step.at(Col.ret))}.`,
  intel_iommu_tlb_sync: () => 'The IOTLB is clean: now the pages may be unpinned.',
  vfio_unmap_unpin: () => 'Nothing of the mapping is left in the IOMMU.',
  vfio_remove_dma: () => 'The mapping is gone.',
};

function tables(told: Told): string {
  const n = gained(told, Slot.iommuTableAllocs);
  return n > 0 ? ` ${plural(n, 'table page is', 'table pages are')} allocated for it.` : '';
}
