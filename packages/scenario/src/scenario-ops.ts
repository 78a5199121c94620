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

/** What each op does. */
const SUMMARIES: Readonly<Record<string, string>> = {
  open: 'opens the container, adds the group of the device (default edu), and sets the IOMMU type: v2, v1 or nesting',
  opencontainer: 'opens the container only',
  setiommu: 'VFIO_SET_IOMMU with a number',
  addgroup: 'adds the group of a device: edu, ivsh16 or ivsh1g',
  delgroup: 'takes it away',
  close: 'closes every group, device and container',
  device: 'opens the device',
  pcicmd: 'writes the PCI command register: 2 is memory decode, 4 is bus master',
  mmap: 'maps memory under a name. Kinds: anon, huge2m, huge1g, memfd, memfd2m, memfd1g, file, bar. prot: letters of rwx, or none. flags: shared, private, populate, noreserve, locked, fixed, filled (writes the file first). advise: huge or nohuge, a madvise right after. of: maps the memfd of another region. frames and copies: where its pages lie, PFNxN in a comma list',
  munmap: 'unmaps memory',
  mprotect: 'changes its access',
  madvise: 'huge, nohuge, dontneed, collapse, popread, popwrite, free or remove',
  mremap:
    'memory grows or shrinks to newsize, or moves: to an address, or with maymove=1 wherever there is room. name: the new place as a region of its own',
  mlock: 'locks memory',
  munlock: 'unlocks it',
  touch:
    'one access per stride: by default a write to each page. mode: r or w. pages: a comma list instead of all. order: rev, or rand with a seed',
  fork: 'makes a child that sleeps, with everything open and mapped that the process has',
  reap: 'ends the last child',
  map: 'VFIO_IOMMU_MAP_DMA. flags: rw (default), r, w, vaddr, or a number',
  unmap: 'VFIO_IOMMU_UNMAP_DMA. flags: all, vaddr, bitmap (with pgsize and bmsize), or a number',
  dirty: 'VFIO_IOMMU_DIRTY_PAGES: start, stop, get, or a number',
  fail: 'the n-th such call of the next step fails (default the first)',
  info: 'VFIO_IOMMU_GET_INFO, with its capabilities',
  memlock: 'sets RLIMIT_MEMLOCK, soft and hard',
  dropcap: 'drops CAP_IPC_LOCK: from here on the limit counts',
  sysfs: 'writes a file of sysfs, such as a module parameter',
  addext: 'the group of an emulated device joins, and the device is opened',
  delext: 'the device is closed, and the group leaves',
  unset: 'only the group leaves',
  closedev: 'only the device is closed',
  pin: 'vfio_pin_pages. prot: letters of rw, or a number. from: kthread or child. forget: the driver does not remember it',
  unpin: 'vfio_unpin_pages',
  pinlist: 'a call of vfio_pin_pages for each address',
  unpinlist: 'a call of vfio_unpin_pages for each address',
  dmarw: 'vfio_dma_rw: the driver reads (write=0) or writes memory',
  extmode:
    'what the driver gives back when a mapping goes: all (default), none, skip (nothing k times, then all), one (all references of a page per call), ref (one per call). keep=1: nothing when it is closed',
  poke: 'the process writes its memory',
  peek: 'the process reads its memory, which shows the bytes',
  bench: 'maps and unmaps again and again; recordings have it, the model does not',
  iofd: 'iommufd: recordings may have it, the model does not',
  ioas_map: 'iommufd',
  ioas_map_file: 'iommufd',
  ioas_unmap: 'iommufd',
};

/** All ops, in the order in which one meets them. */
export const scenarioOps: readonly ScenarioOp[] = [...ops].map(([name, { usage, modelled }]) => ({
  ...{ name, usage, modelled },
  summary: SUMMARIES[name] ?? '',
}));
