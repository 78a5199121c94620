/** What the scenario language has, for reference pages and editors. */
import { ops } from './ops.ts';

/** An op of the scenario language. */
export interface ScenarioOp {
  /** Its name. */
  readonly name: string;
  /** How it is written; what may be left out is in brackets: `open type= [dev=]`. */
  readonly usage: string;
  /** What it does. */
  readonly summary: string;
  /** Whether the model can do it. */
  readonly modelled: boolean;
}

/** What each op does, and what its arguments are where their names do not say it. */
const SUMMARIES: Readonly<Record<string, string>> = {
  open: 'opens the container, adds the group of the device (default edu), and sets the IOMMU type: v2, v1 or nesting',
  opencontainer: 'opens the container only',
  setiommu: 'VFIO_SET_IOMMU with a number',
  addgroup: 'adds the group of a device: edu, ivsh16 or ivsh1g',
  delgroup: 'takes the group of a device out of the container',
  close: 'closes every group, device and container',
  device: 'opens the device',
  pcicmd: 'writes the PCI command register: 2 is memory decode, 4 is bus master',
  mmap: 'maps memory under a name. Kinds: anon, huge2m, huge1g, memfd, memfd2m, memfd1g, file, bar. prot: letters of rwx, or none. flags: shared, private, populate, noreserve, locked, fixed, filled (writes the file first). advise: huge or nohuge, a madvise right after. of: maps the memfd of another region. frames: the memory is there at once, at these frames, in folios of 4 KiB or of an order, PFN[xN][:ORDER] in a comma list. copies: page i is copied to frame copies + i',
  munmap: 'unmaps memory',
  mprotect: 'changes the access to memory: letters of rwx, or none',
  madvise:
    'advises the kernel: huge, nohuge, dontneed, collapse, popread, popwrite, free or remove',
  mremap:
    'memory grows or shrinks to newsize, or moves: to an address, or with maymove=1 wherever there is room. name: the new place as a region of its own',
  mlock: 'locks memory',
  munlock: 'unlocks memory',
  touch:
    'one access per stride: by default a write to each page. mode: r or w. pages: a comma list instead of all. order: rev, or rand with a seed',
  fork: 'makes a child that sleeps, with everything open and mapped that the process has',
  reap: 'ends the last child',
  map: 'VFIO_IOMMU_MAP_DMA. flags: rw (default), r, w, vaddr, or a number. from=child: a child that was just forked makes the call and ends; with vaddr it takes the mapping over',
  unmap:
    'VFIO_IOMMU_UNMAP_DMA. flags: all, vaddr, bitmap (with pgsize and bmsize), or a number. bmmem: bytes that can be written behind the pointer to the bitmap',
  dirty: 'VFIO_IOMMU_DIRTY_PAGES: start, stop, get, or a number. bmmem: as of unmap',
  fail: 'in the next step, the n-th (default the first) frame that is asked for, GUP or IOMMU map fails: frame, gup or map',
  info: 'VFIO_IOMMU_GET_INFO, with its capabilities',
  memlock: 'sets RLIMIT_MEMLOCK, soft and hard; it counts after dropcap',
  dropcap: 'drops CAP_IPC_LOCK: from here on RLIMIT_MEMLOCK counts',
  sysfs: 'writes a file of sysfs, such as a module parameter',
  addext: 'adds the group of an emulated device, and opens the device',
  delext: 'closes the device and removes its group. keepfd=1: its file stays open',
  unset: 'removes the group only',
  closedev: 'closes the device only',
  pin: 'vfio_pin_pages. prot: letters of rw, or a number. from: kthread or child. times: as many calls. null=1: without a page array. forget=1: the driver does not remember the pages',
  unpin: 'vfio_unpin_pages. from, times and forget: as of pin',
  pinlist: 'one call of vfio_pin_pages per address, of one page',
  unpinlist: 'one call of vfio_unpin_pages per address, of one page',
  dmarw: 'vfio_dma_rw: the driver reads (write=0) or writes memory. null=1: without a buffer',
  extmode:
    'what the driver unpins when a mapping is removed: all (default), none, skip (nothing k times, then all), one (all references of a page per call), ref (one per call). keep=1: nothing when the device is closed',
  poke: 'the process writes its memory, every byte with byte= (default the letter A)',
  peek: 'the process reads its memory, which shows the bytes',
  bench: 'maps and unmaps again and again, and measures the time',
  iofd: 'a call of iommufd',
  ioas_map: 'a call of iommufd',
  ioas_map_file: 'a call of iommufd',
  ioas_unmap: 'a call of iommufd',
};

/** All ops, in the order in which one meets them. */
export const scenarioOps: readonly ScenarioOp[] = [...ops].map(([name, { usage, modelled }]) => ({
  ...{ name, usage, modelled },
  summary: SUMMARIES[name] ?? '',
}));
