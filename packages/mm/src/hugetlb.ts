/**
 * Faults of private anonymous hugetlb memory.
 *
 * @source mm/hugetlb.c hugetlb_fault, hugetlb_no_page, hugetlb_wp, 6.16; reference mm.md §6
 */
import { Errno, offsetIn, type Vpn } from '@pinfold/base';
import { doWpPage } from './cow.ts';
import { FAULT_FLAG, VM_FAULT, type VmOperations } from './fault.ts';
import { allocZeroedFolio } from './fault-folio.ts';
import { hugetlbReservePages } from './hugetlb-reserve.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/** Answers the faults of private anonymous memory of one huge page size. */
export class HugetlbMemory implements VmOperations {
  readonly name = 'hugetlb';
  readonly anonymous = false;
  readonly dirtyTracking = false;
  readonly order: number;

  /** @param order folio order, one of the geometry's; the machine's memory has a pool of it */
  constructor(order: number) {
    this.order = order;
  }

  mmap(mm: MmStruct, vma: Vma): number {
    return hugetlbReservePages(mm, vma, null) ? 0 : -Errno.ENOMEM;
  }

  fault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
    if (mm.pageTable.pfnAt(vpn) >= 0) return doWpPage(mm, vma, vpn, flags);
    vma.anonVma = true;
    const first = vpn - offsetIn(vpn, this.order);
    const pfn = allocZeroedFolio(mm, first, this.order, PG.hugetlb | PG.anon);
    if (pfn < 0) return VM_FAULT.SIGBUS;
    const write = flags & FAULT_FLAG.WRITE && vma.flags & VM.WRITE ? PTE.write : 0;
    const bits = PTE.present | PTE.anonExclusive | write;
    mm.pageTable.setEntry(first, pfn, this.order / mm.pageTable.tableBits, bits);
    return 0;
  }
}
