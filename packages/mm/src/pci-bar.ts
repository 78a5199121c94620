/**
 * A BAR of a PCI device as vfio-pci maps it: pure pfn mappings that are faulted in, with leaves as
 * large as alignment allows, and only while the device's memory is enabled.
 *
 * @source drivers/vfio/pci/vfio_pci_core.c vfio_pci_mmap_huge_fault, 6.12 to 7.2; reference mm.md §5.7
 */
import { isAligned, offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { VM_FAULT, type VmOperations } from './fault.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { deviceHugeAllowed } from './thp.ts';
import { VM, type Vma } from './vma.ts';

/** A memory BAR. */
export class PciBar implements VmOperations {
  /** Kind of memory, for messages. */
  readonly name = 'BAR';
  /** A pure pfn mapping. */
  readonly anonymous = false;
  /** No file system. */
  readonly dirtyTracking = false;
  /** Cut anywhere. */
  readonly order = 0;
  /** First page frame of its bus address. */
  readonly pfn: Pfn;
  /** Length in pages. */
  readonly npage: number;
  /** Whether the device decodes memory accesses (PCI_COMMAND_MEMORY). */
  enabled = true;
  /** Whether a PUD may map devices. */

  /**
   * @param pfn first page frame of its bus address
   * @param npage length in pages
   */
  constructor(pfn: Pfn, npage: number) {
    this.pfn = pfn;
    this.npage = npage;
  }

  fault(mm: MmStruct, vma: Vma, vpn: Vpn): number {
    if (!this.enabled) return VM_FAULT.SIGBUS;
    const bits = PTE.present | PTE.special | (vma.flags & VM.WRITE ? PTE.write : 0);
    if (mm.pageTable.pfnAt(vpn) >= 0) {
      const { level, index, ptes, dirs } = mm.pageTable;
      (level === 0 ? ptes : dirs).bits[index] = bits;
      return 0;
    }
    const { thp, rules } = mm.memory;
    if (rules.barFault === 'whole') return this.#mapWhole(mm, vma, bits);
    const { devicePud, hugeOrders, pudOrder, tableBits } = mm.pageTable.geometry;
    const orders = hugeOrders.filter((order) => devicePud || order < pudOrder);
    for (const order of deviceHugeAllowed(thp, vma, rules) ? [...orders, 0] : [0]) {
      const first = vpn - offsetIn(vpn, order);
      const level = order / tableBits;
      const inVma = first >= vma.start && first + pagesOf(order) <= vma.end;
      if (!inVma || (level > 0 && !mm.pageTable.none(vpn, level))) continue;
      const offset = vma.pgoff + (first - vma.start);
      if (!isAligned(this.pfn + offset, order) || offset + pagesOf(order) > this.npage) continue;
      mm.pageTable.setEntry(first, this.pfn + offset, level, bits);
      return 0;
    }
    return VM_FAULT.SIGBUS;
  }

  /**
   * Maps all of an area at once, page by page.
   *
   * @source drivers/vfio/pci/vfio_pci_core.c vfio_pci_mmap_fault, io_remap_pfn_range, 6.1
   */
  #mapWhole({ pageTable }: MmStruct, vma: Vma, bits: number): number {
    const npage = vma.end - vma.start;
    if (vma.pgoff + npage > this.npage) return VM_FAULT.SIGBUS;
    const first = this.pfn + vma.pgoff;
    for (let i = 0; i < npage; i++) pageTable.setEntry(vma.start + i, first + i, 0, bits);
    return 0;
  }
}
