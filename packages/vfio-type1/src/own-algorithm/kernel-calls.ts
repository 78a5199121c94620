/**
 * The calls of an algorithm of one's own, made on a container: arguments checked, operations
 * counted as in the algorithms that are built in.
 *
 * @source drivers/vfio/vfio_iommu_type1.c, mm/gup.c, include/linux/mm.h, 6.18; reference type1.md §3
 * to §6 and §9
 */
import { Errno, Slot, type IovaPn, type Page, type Pfn, type Vpn } from '@pinfold/base';
import { IOMMU, PhysRun, type IommuDomain } from '@pinfold/iommu';
import {
  exceedsMemlock,
  folioOrderOf,
  numPagesContiguous,
  pageHuge,
  unpinUserFolioDirtyLocked,
  unpinUserPageRangeDirtyLock,
} from '@pinfold/mm';
import { POINTER_SIZE, VfioBatch } from '../batch.ts';
import type { VfioDma } from '../dma.ts';
import { isAnyPinnedExternally, isPinnedExternally } from '../find-vpfn.ts';
import { refusedByAcct, vfioLockAcct } from '../lock-acct.ts';
import { batchUnpin, overLimit, refusedByGup, unwindPfns } from '../pin-chunk.ts';
import {
  addToPfnList,
  dmaToPin,
  pinNewPage,
  takeKnownPage,
  unwindExternal,
  type ExternalPinRequest,
} from '../pin-external.ts';
import { countReservedTest, isInvalidReservedPfn, putPfns } from '../put-pfn.ts';
import { vaddrGetPfns } from '../vaddr-get-pfns.ts';
import type { OwnWork } from '../pin-algorithm.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { vpfnPages } from '../vpfn-pages.ts';
import { Misuse } from './algorithm-fault.ts';
import type { AlgorithmKernel, Folio } from './algorithm-kernel.ts';
import { Guard, MAX_PAGES } from './guard.ts';
import type { OwnBatch, OwnChunk, OwnDma, OwnPinRequest, OwnRun } from './own-algorithm.ts';
import { BatchView, DmaView, RequestView } from './views.ts';

const ERRNO = Object.freeze({ ...Errno });

/** The calls on one container. */
export class KernelCalls implements AlgorithmKernel {
  readonly Errno: AlgorithmKernel['Errno'] = ERRNO;
  readonly IOMMU_READ: number = IOMMU.READ;
  readonly IOMMU_WRITE: number = IOMMU.WRITE;
  readonly #iommu: VfioIommu;
  readonly #guard: Guard;
  readonly #work: OwnWork;
  readonly #run = new PhysRun();

  /**
   * @param iommu the container's state
   * @param guard its checks
   * @param work gets what is done and not counted
   */
  constructor(iommu: VfioIommu, guard: Guard, work: OwnWork) {
    this.#iommu = iommu;
    this.#work = work;
    this.#guard = guard;
    Object.freeze(this);
  }

  get disableHugepages(): boolean {
    return this.#iommu.params.disableHugepages;
  }

  get fgsp(): boolean {
    return this.#iommu.domainList.length > 0 && this.#iommu.domainList[0].fgsp;
  }

  vaddrGetPfns(view: OwnDma, vaddr: Vpn, npage: number, batchView: OwnBatch): number {
    const iommu = this.#iommu;
    const dma = this.#dma(view, 'vaddrGetPfns');
    const batch = this.#batch(batchView, 'vaddrGetPfns');
    this.#guard.whole(vaddr, 'vaddrGetPfns, vaddr');
    this.#guard.whole(npage, 'vaddrGetPfns, npage', 1);
    if (dma.mm.mmUsers === 0)
      return iommu.fail(Errno.ENODEV, 'vfio_pin_page_external', { mmUsers: 0 });
    const got = vaddrGetPfns(iommu, dma, vaddr, npage, batch);
    return got < 0 ? refusedByGup(iommu, dma, got) : got;
  }

  makeBatch(capacity: number): OwnBatch {
    this.#guard.call();
    this.#guard.whole(capacity, 'makeBatch', 1, this.#iommu.pageSize / POINTER_SIZE);
    return new BatchView(new VfioBatch(this.#iommu.memory.memmap.pageArray(capacity)), this.#work);
  }

  pageToPfn(page: Page): Pfn {
    this.#guard.call();
    this.#guard.frame(page, 'pageToPfn');
    this.#work.conversions++;
    return this.#iommu.memory.memmap.pageToPfn(page);
  }

  pfnToPage(pfn: Pfn): Page {
    this.#guard.call();
    this.#guard.frame(pfn, 'pfnToPage');
    this.#work.conversions++;
    return this.#iommu.memory.memmap.pfnToPage(pfn);
  }

  pfnValid(pfn: Pfn): boolean {
    this.#guard.call();
    this.#guard.frame(pfn, 'pfnValid');
    return this.#iommu.memory.memmap.pfnValid(pfn);
  }

  isInvalidReservedPfn(pfn: Pfn): boolean {
    this.#guard.call();
    this.#guard.frame(pfn, 'isInvalidReservedPfn');
    const { memory, counters } = this.#iommu;
    const reserved = isInvalidReservedPfn(memory.memmap, pfn);
    if (this.#guard.step === 'pinExternal') countReservedTest(counters, pfn, reserved);
    else counters.add(Slot.reservedTests, 1);
    return reserved;
  }

  numPagesContiguous(view: OwnBatch, max?: number): number {
    const { pages, offset, size } = this.#batch(view, 'numPagesContiguous');
    if (size === 0) throw new Misuse('numPagesContiguous: the batch is empty');
    const nr = max ?? size;
    this.#guard.whole(nr, 'numPagesContiguous, max', 1, size);
    const run = numPagesContiguous(this.#iommu.memory.memmap, pages, offset, nr);
    this.#iommu.counters.add(Slot.pageCompares, run < nr ? run : run - 1);
    return run;
  }

  startChunk(chunk: OwnChunk, pfn: Pfn): void {
    this.#guard.call();
    this.#guard.frame(pfn, 'startChunk, pfn');
    const { memory, counters } = this.#iommu;
    const rsvd = isInvalidReservedPfn(memory.memmap, pfn);
    this.#guard.assign(chunk, 'startChunk, chunk', 'pfnBase', pfn);
    this.#guard.assign(chunk, 'startChunk, chunk', 'rsvd', rsvd);
    countReservedTest(counters, pfn, rsvd);
  }

  continuesChunk(chunk: OwnChunk, pfn: Pfn): boolean {
    this.#guard.call();
    this.#guard.any(chunk, 'continuesChunk, chunk');
    this.#iommu.counters.add(Slot.pfnCompares, 1);
    return pfn === chunk.pfnBase + chunk.pinned;
  }

  pageFolio(page: Page): Folio {
    const { memmap } = this.#iommu.memory;
    const pfn = this.pageToPfn(page);
    this.#iommu.counters.add(Slot.folioLookups, 1);
    return pfn - (pfn % 2 ** folioOrderOf(memmap, pfn));
  }

  folioNrPages(folio: Folio): number {
    this.#guard.call();
    this.#guard.frame(folio, 'folioNrPages');
    return 2 ** folioOrderOf(this.#iommu.memory.memmap, folio);
  }

  folioPageIdx(folio: Folio, page: Page): number {
    const npage = this.folioNrPages(folio);
    const idx = this.pageToPfn(page) - folio;
    if (idx >= 0 && idx < npage) return idx;
    throw new Misuse('folioPageIdx: the page is none of this folio');
  }

  folioPage(folio: Folio, idx: number): Page {
    this.#guard.whole(idx, 'folioPage, idx', 0, this.folioNrPages(folio) - 1);
    return this.#iommu.memory.memmap.pfnToPage(folio + idx);
  }

  folioTestHugetlb(folio: Folio): boolean {
    this.#guard.call();
    this.#guard.frame(folio, 'folioTestHugetlb');
    this.#iommu.counters.add(Slot.hugetlbTests, 1);
    return pageHuge(this.#iommu.memory.memmap, folio);
  }

  findVpfn(view: OwnDma, iovaPn: IovaPn): boolean {
    const dma = this.#dma(view, 'findVpfn');
    this.#guard.whole(iovaPn, 'findVpfn, iovaPn');
    return isPinnedExternally(this.#iommu, dma, iovaPn);
  }

  findVpfnRange(view: OwnDma, iovaPn: IovaPn, npage: number): boolean {
    const dma = this.#dmaRange(view, iovaPn, npage, 'findVpfnRange');
    return isAnyPinnedExternally(this.#iommu, dma, iovaPn, npage);
  }

  vpfnPages(view: OwnDma, iovaPn: IovaPn, npage: number): number {
    const dma = this.#dmaRange(view, iovaPn, npage, 'vpfnPages');
    return vpfnPages(this.#iommu, dma, iovaPn, npage);
  }

  testLimit(view: OwnDma, lockAcct: number, more: number, limit: number): number {
    const dma = this.#dma(view, 'testLimit');
    // A chunk with several pins inside one page is charged less than nothing.
    this.#guard.whole(lockAcct, 'testLimit, lockAcct', -MAX_PAGES);
    this.#guard.whole(more, 'testLimit, more');
    this.#iommu.counters.add(Slot.limitTests, 1);
    if (dma.lockCap || !exceedsMemlock(dma.mm.lockedVm + lockAcct + more, limit)) return 0;
    return overLimit(this.#iommu, dma, lockAcct, more, limit);
  }

  lockAcct(view: OwnDma, npage: number, async: boolean): number {
    const dma = this.#dma(view, 'lockAcct');
    this.#guard.whole(npage, 'lockAcct, npage', -MAX_PAGES);
    const ret = vfioLockAcct(dma, npage, async);
    return ret === 0 ? 0 : refusedByAcct(this.#iommu, dma, npage, ret);
  }

  putPfns(view: OwnDma, pfn: Pfn, npage: number): number {
    const iommu = this.#iommu;
    const dma = this.#dma(view, 'putPfns');
    this.#guard.frame(pfn, 'putPfns, pfn');
    this.#guard.whole(npage, 'putPfns, npage');
    this.#guard.inKernel = true;
    try {
      // Inside the loop of the unpin it is no call of its own.
      if (this.#guard.step === 'unpinRegion') putPfns(iommu, pfn, npage, dma.prot);
      else unwindPfns(iommu, dma, pfn, npage);
    } finally {
      this.#guard.inKernel = false;
    }
    return iommu.put.unlocked;
  }

  batchUnpin(view: OwnDma, batchView: OwnBatch): void {
    const dma = this.#dma(view, 'batchUnpin');
    batchUnpin(this.#iommu, dma, this.#batch(batchView, 'batchUnpin'));
  }

  unpinUserPageRangeDirtyLock(page: Page, npage: number, makeDirty: boolean): void {
    this.#guard.call();
    this.#guard.frame(page, 'unpinUserPageRangeDirtyLock, page');
    this.#guard.whole(npage, 'unpinUserPageRangeDirtyLock, npage', 1);
    this.#guard.inKernel = true;
    try {
      unpinUserPageRangeDirtyLock(this.#iommu.memory, page, npage, makeDirty);
    } finally {
      this.#guard.inKernel = false;
    }
  }

  unpinUserFolioDirtyLocked(folio: Folio, npins: number, makeDirty: boolean): void {
    const npage = this.folioNrPages(folio);
    this.#guard.whole(npins, 'unpinUserFolioDirtyLocked, npins', 1, npage);
    unpinUserFolioDirtyLocked(this.#iommu.memory, folio, npins, makeDirty);
  }

  iovaToPhys(iovaPn: IovaPn): Pfn {
    this.#guard.call();
    this.#guard.whole(iovaPn, 'iovaToPhys');
    return this.#domain('iovaToPhys').iovaToPhys(iovaPn);
  }

  iovaToPhysRun(iovaPn: IovaPn, npage: number, run: OwnRun): void {
    this.#guard.call();
    this.#guard.whole(iovaPn, 'iovaToPhysRun, iovaPn');
    this.#guard.whole(npage, 'iovaToPhysRun, npage', 1);
    const domain = this.#domain('iovaToPhysRun');
    this.#guard.inKernel = true;
    try {
      domain.iovaToPhysRun(iovaPn, npage, this.#run);
    } finally {
      this.#guard.inKernel = false;
    }
    this.#guard.assign(run, 'iovaToPhysRun, run', 'pfn', this.#run.pfn);
    this.#guard.assign(run, 'iovaToPhysRun, run', 'npage', this.#run.npage);
  }

  dmaToPin(request: OwnPinRequest, i: number): OwnDma | number {
    const found = dmaToPin(this.#iommu, this.#request(request, i, 'dmaToPin'), i);
    return typeof found === 'number' ? found : new DmaView(found);
  }

  takeKnownPage(view: OwnDma, request: OwnPinRequest, i: number): boolean {
    const dma = this.#dma(view, 'takeKnownPage');
    return takeKnownPage(this.#iommu, dma, this.#request(request, i, 'takeKnownPage'), i);
  }

  pinNewPage(view: OwnDma, request: OwnPinRequest, i: number): number {
    const dma = this.#dma(view, 'pinNewPage');
    const batch = new VfioBatch(this.#iommu.memory.memmap.pageArray(1));
    const asked = this.#request(request, i, 'pinNewPage');
    return pinNewPage(this.#iommu, dma, asked, i, request.doAccounting, batch);
  }

  addToPfnList(view: OwnDma, requestView: OwnPinRequest, i: number, page: Page): number {
    const dma = this.#dma(view, 'addToPfnList');
    const request = this.#request(requestView, i, 'addToPfnList');
    const pfn = this.pageToPfn(page);
    const ret = addToPfnList(this.#iommu, dma, request.iovaPn[i], request.offset[i], pfn);
    if (ret === 0) request.pages[i] = page;
    return ret;
  }

  unwindExternal(view: OwnPinRequest, done: number, ret: number): number {
    this.#guard.whole(-ret, 'unwindExternal, the negative of ret', 1);
    const request = this.#request(view, done, 'unwindExternal');
    return unwindExternal(this.#iommu, request, done, view.doAccounting, ret);
  }

  #dma(view: unknown, call: string): VfioDma {
    this.#guard.call();
    return this.#guard.object(DmaView.of(view), view, call, 'the mapping');
  }

  #dmaRange(view: unknown, iovaPn: IovaPn, npage: number, call: string): VfioDma {
    this.#guard.whole(iovaPn, `${call}, iovaPn`);
    this.#guard.whole(npage, `${call}, npage`, 1);
    return this.#dma(view, call);
  }

  #batch(view: unknown, call: string): VfioBatch {
    this.#guard.call();
    return this.#guard.object(BatchView.of(view), view, call, 'a batch');
  }

  #request(view: unknown, i: number, call: string): ExternalPinRequest {
    this.#guard.call();
    const request = this.#guard.object(RequestView.of(view), view, call, 'the request');
    this.#guard.whole(i, `${call}, page`, 0, request.npage - 1);
    return request;
  }

  #domain(call: string): IommuDomain {
    const { domainList } = this.#iommu;
    if (domainList.length > 0) return domainList[0].domain;
    throw new Misuse(`${call}: the container has no IOMMU domain`);
  }
}
