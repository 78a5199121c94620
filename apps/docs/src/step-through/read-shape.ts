/** Reading the shape of a mapping from the modelled machine. */
import { ModelBug } from '@pinfold/base';
import type { MemDmaMap } from '@pinfold/bench';
import { folioOrderOf } from '@pinfold/mm';
import type { MemoryShape } from './memory-shape.ts';

/**
 * The shape of a mapping, read from the page tables of the process and of the IOMMU.
 *
 * @param machine a machine that has everything mapped
 * @returns its shape
 */
export function shapeOf(machine: MemDmaMap): MemoryShape {
  const { npage, vaddr, iovaPn, mm } = machine;
  const { memmap } = mm.memory;
  const folioOrder = folioOrderOf(memmap, mm.pageTable.pfnAt(vaddr));
  const size = 2 ** folioOrder;
  const folioPfns = new Uint32Array(npage / size);
  for (let i = 0; i < folioPfns.length; i++) {
    const pfn = mm.pageTable.pfnAt(vaddr + i * size);
    if (folioOrderOf(memmap, pfn) !== folioOrder)
      throw new ModelBug(`folio ${i} of the mapping has another order than the first`);
    folioPfns[i] = pfn;
  }
  return { npage, vaddr, iovaPn, folioOrder, folioPfns, ...leavesOf(machine) };
}

/** Runs of IOMMU leaves of one size. */
function leavesOf(machine: MemDmaMap): Pick<MemoryShape, 'leafStarts' | 'leafOrders'> {
  const starts: number[] = [];
  const orders: number[] = [];
  for (const { iovaPn, order } of machine.leaves()) {
    if (order === orders.at(-1)) continue;
    starts.push(iovaPn - machine.iovaPn);
    orders.push(order);
  }
  return { leafStarts: Float64Array.from(starts), leafOrders: Uint8Array.from(orders) };
}
