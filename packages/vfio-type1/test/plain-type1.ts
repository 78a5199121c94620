/**
 * type1 in the plainest form: a list of mappings with one frame per page, and the checks of the
 * reference (type1.md §2 and §7) one after the other. It knows what every ioctl must return and
 * what must be mapped, pinned and charged afterwards, and nothing of chunks, batches or trees.
 */
import { Errno, X86_64, type PageGeometry } from '@pinfold/base';
import type { Task } from '@pinfold/mm';
import type {
  PinAlgorithm,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  Type1Rules,
} from '../src/index.ts';
import type { Setup } from './ioctls.ts';
import { PAGE_WISE } from './right-algorithms.ts';
import type { WorldPage, WorldPages } from './world-pages.ts';
import type { TestKernel } from './kernels.ts';

/** A mapping. */
export interface PlainDma {
  readonly iovaPn: number;
  readonly npage: number;
  readonly prot: number;
  /** Access that the IOMMU's entries allow. */
  readonly leafProt: number;
  /** Frame of every page, at the time of the mapping. */
  readonly pfns: readonly number[];
  /** Frames of those pages that are memory: pinned, and charged. */
  readonly pinned: readonly number[];
  vaddr: number;
  vaddrInvalid: boolean;
  /** Process that is charged. */
  owner: Task;
}

/** The part of a request that decides an errno: name of the errno, or null. */
type Refusal = keyof typeof Errno | null;

const U64 = 2n ** 64n;
const MSI = { start: 0xfee00, last: 0xfeeff };

/** The expected state of a container, and the expected result of every ioctl. */
export class PlainType1 {
  dmas: PlainDma[] = [];
  /** Pages that each process is charged with. */
  readonly lockedVm = new Map<Task, number>();
  /** Pins taken so far, also those of maps that failed (nr_foll_pin_acquired). */
  acquired = 0;
  readonly #pageShift: bigint;
  readonly #pageSize: number;
  readonly #setup: Setup;
  readonly #rules: Type1Rules;
  readonly #writeImpliesRead: boolean;
  readonly #dropsLone: boolean;
  readonly #pageWise: boolean;
  readonly #pages: WorldPages;
  readonly #movable: (pfn: number) => boolean;

  constructor(
    options: Setup,
    kernel: TestKernel,
    algorithm: PinAlgorithm,
    pages: WorldPages,
    movable: (pfn: number) => boolean,
    geometry: PageGeometry = X86_64,
  ) {
    this.#pageShift = BigInt(geometry.pageShift);
    this.#pageSize = geometry.pageSize;
    this.#setup = options;
    this.#rules = kernel.type1;
    // Recorded: a write-only map is readable for the device on 6.12, and there alone.
    this.#writeImpliesRead = kernel.iommu.formats['intel-vtd'] === 'vtd-second-level-6-12';
    this.#dropsLone = algorithm.name === 'batched-page-array';
    this.#pageWise = PAGE_WISE.includes(algorithm.name);
    this.#pages = pages;
    this.#movable = movable;
  }

  get dmaAvail(): number {
    return this.#setup.dmaEntryLimit - this.dmas.length;
  }

  /** Pages that are pinned, over all mappings. */
  get pinned(): number {
    return this.dmas.reduce((sum, { pinned }) => sum + pinned.length, 0);
  }

  /** VFIO_IOMMU_MAP_DMA; returns 0 or a negative errno. */
  map(task: Task, args: Required<VfioIommuType1DmaMap>): number {
    const refusal = this.#checkMap(args);
    if (refusal) return -Errno[refusal];
    const [iovaPn, npage, vaddr] = [args.iova, args.size, args.vaddr].map((value) =>
      Number(value >> this.#pageShift),
    );
    if (args.flags & 4) return this.#newVaddr(task, iovaPn, npage, vaddr);
    const pages = this.#pin(task, vaddr, npage, args.flags & 3);
    if (typeof pages === 'string') return -Errno[pages];
    const pinned = pages.filter(({ leafEnd }) => leafEnd === undefined).map(({ pfn }) => pfn);
    const pfns = pages.map(({ pfn }) => pfn);
    this.dmas.push({
      iovaPn,
      npage,
      prot: args.flags & 3,
      leafProt: this.#writeImpliesRead && args.flags & 2 ? 3 : args.flags & 3,
      pfns,
      pinned,
      vaddr,
      vaddrInvalid: false,
      owner: task,
    });
    this.dmas.sort((a, b) => a.iovaPn - b.iovaPn);
    this.#charge(task, pinned.length);
    return 0;
  }

  /** VFIO_IOMMU_UNMAP_DMA; returns [0 or a negative errno, size afterwards]. */
  unmap(args: Required<Omit<VfioIommuType1DmaUnmap, 'bitmap'>>): [number, bigint] {
    const refusal = this.#checkUnmap(args);
    if (refusal) return [-Errno[refusal], args.size];
    const all = (args.flags & 2) !== 0;
    const first = all ? 0 : Number(args.iova >> this.#pageShift);
    const last = all ? Infinity : Number((args.iova + args.size) >> this.#pageShift) - 1;
    const inRange = this.dmas.filter((dma) => dma.iovaPn <= last && dma.iovaPn + dma.npage > first);
    const taken = !this.#setup.v2 && inRange.some(({ iovaPn }) => iovaPn < first) ? [] : inRange;
    if (args.flags & 4) {
      if (taken.some(({ vaddrInvalid }) => vaddrInvalid)) return [-Errno.EINVAL, args.size];
      for (const dma of taken) dma.vaddrInvalid = true;
    } else {
      for (const dma of taken) this.#charge(dma.owner, -dma.pinned.length);
      this.dmas = this.dmas.filter((dma) => !taken.includes(dma));
    }
    return [0, BigInt(taken.reduce((sum, { npage }) => sum + npage, 0)) << this.#pageShift];
  }

  /** The checks of MAP_DMA up to 12, in the order of the release. */
  #checkMap({ argsz, flags, iova, vaddr, size }: Required<VfioIommuType1DmaMap>): Refusal {
    const wraps = iova + size > U64 || vaddr + size > U64;
    const late = this.#rules.wrapErrno === Errno.EINVAL;
    if (argsz < 32 || flags > 7) return 'EINVAL';
    if (!late && size === 0n) return 'EINVAL';
    if (!late && wraps) return 'EOVERFLOW';
    if (((flags & 3) !== 0) === ((flags & 4) !== 0)) return 'EINVAL';
    if (size === 0n || (iova | vaddr | size) % BigInt(this.#pageSize) !== 0n) return 'EINVAL';
    if (wraps) return 'EINVAL';
    const [start, npage] = [Number(iova >> this.#pageShift), Number(size >> this.#pageShift)];
    const hit = this.dmas.find(
      (dma) => dma.iovaPn < start + npage && start < dma.iovaPn + dma.npage,
    );
    if (flags & 4) {
      if (!hit) return 'ENOENT';
      return hit.vaddrInvalid && hit.iovaPn === start && hit.npage === npage ? null : 'EINVAL';
    }
    if (hit) return 'EEXIST';
    if (this.dmaAvail === 0) return 'ENOSPC';
    const last = start + npage - 1;
    const usable =
      last < 2 ** (this.#setup.addressWidth - 12) && (last < MSI.start || start > MSI.last);
    return usable ? null : 'EINVAL';
  }

  #checkUnmap({
    argsz,
    flags,
    iova,
    size,
  }: Required<Omit<VfioIommuType1DmaUnmap, 'bitmap'>>): Refusal {
    const all = (flags & 2) !== 0;
    // A dirty bitmap (flag 1) needs a longer structure than any of these.
    if (argsz < 24 || flags > 7 || flags & 1) return 'EINVAL';
    if (iova % BigInt(this.#pageSize) !== 0n || (all && (iova !== 0n || size !== 0n)))
      return 'EINVAL';
    if (all) return null;
    if (size === 0n || size % BigInt(this.#pageSize) !== 0n) return 'EINVAL';
    if (iova + size > U64) return this.#rules.wrapErrno === Errno.EINVAL ? 'EINVAL' : 'EOVERFLOW';
    if (!this.#setup.v2) return null;
    const [first, last] = [
      Number(iova >> this.#pageShift),
      Number((iova + size) >> this.#pageShift) - 1,
    ];
    const cut = this.dmas.some((dma) => {
      const end = dma.iovaPn + dma.npage - 1;
      return (dma.iovaPn < first && first <= end) || (dma.iovaPn <= last && last < end);
    });
    return cut ? 'EINVAL' : null;
  }

  #newVaddr(task: Task, iovaPn: number, npage: number, vaddr: number): number {
    const dma = this.dmas.find(
      (candidate) => candidate.iovaPn === iovaPn && candidate.npage === npage,
    );
    if (!dma) throw new Error('the checks found a mapping that is not there');
    const charge = dma.pinned.length;
    if (dma.owner !== task) {
      const locked = this.lockedVm.get(task) ?? 0;
      if (charge > 0 && !task.capIpcLock && locked + charge > task.memlockPages)
        return -Errno.ENOMEM;
      this.#charge(dma.owner, -charge);
      this.#charge(task, charge);
      dma.owner = task;
    }
    dma.vaddr = vaddr;
    dma.vaddrInvalid = false;
    return 0;
  }

  /**
   * The pages of a range, or why they cannot be had: GUP by batches, device memory by leaves, and
   * the limit page by page.
   */
  #pin(task: Task, vaddr: number, npage: number, prot: number): WorldPage[] | keyof typeof Errno {
    const single = this.#pageWise || this.#setup.disableHugepages;
    const { batchCapacity } = this.#rules;
    const full = batchCapacity === 'page' ? this.#pageSize / 8 : batchCapacity;
    const capacity = single ? 1 : full;
    const pages: WorldPage[] = [];
    let charged = 0;
    while (pages.length < npage) {
      const vpn = vaddr + pages.length;
      const wanted = Math.min(capacity, npage - pages.length);
      const batch = this.#gup(vpn, wanted, prot);
      if (batch.length === 0) {
        const device = this.#pages.get(vpn);
        if (device?.leafEnd === undefined || device.ordinary) return 'EFAULT';
        if (prot & 2 && !device.prot.write) return 'EFAULT';
        const end = this.#setup.disableHugepages
          ? vpn + 1
          : Math.min(device.leafEnd, vaddr + npage);
        for (let at = vpn; at < end; at++) pages.push(this.#pages.get(at) ?? device);
        continue;
      }
      this.acquired += batch.length;
      const movable = batch.some(({ pfn }) => this.#movable(pfn));
      // A page that came alone and does not go on where the one before ended is pinned again; page by
      // page, one too that could not be had.
      const last = pages.at(-1);
      const goesOn = last?.leafEnd === undefined && last?.pfn === batch[0].pfn - 1;
      const lone = batch.length === 1 && last !== undefined && !this.#setup.disableHugepages;
      if (lone && this.#pageWise && (movable || !goesOn)) this.acquired++;
      if (lone && this.#dropsLone && !movable && !goesOn) this.acquired++;
      if (movable) return 'ENOMEM';
      charged += batch.length;
      const locked = this.lockedVm.get(task) ?? 0;
      if (!task.capIpcLock && locked + charged > task.memlockPages) return 'ENOMEM';
      for (const page of batch) pages.push(page);
    }
    return pages;
  }

  /** Pages of memory from one on that the process may use like this. */
  #gup(vpn: number, npage: number, prot: number): WorldPage[] {
    const batch: WorldPage[] = [];
    for (let at = vpn; at < vpn + npage; at++) {
      const page = this.#pages.get(at);
      if (page?.leafEnd !== undefined || !page) break;
      if (!(prot & 2 ? page.prot.write : page.prot.read)) break;
      batch.push(page);
    }
    return batch;
  }

  #charge(task: Task, npage: number): void {
    this.lockedVm.set(task, (this.lockedVm.get(task) ?? 0) + npage);
  }
}
