/** A page table that remembers the calls it gets and answers as it is told. */
import type { IoLeaf, IoPageTable, PhysRun } from '../src/formats/format.ts';
import type { IotlbGather } from '../src/iotlb-gather.ts';

/** A page table of 4 KiB, 2 MiB and 1 GiB leaves, or of other sizes. */
export class FakeTable implements IoPageTable {
  readonly pageOrders: readonly number[];
  readonly isIommupt: boolean;
  readonly aperturePages: number = 2 ** 36;
  readonly tablePages = 1;
  mapped = 0;
  /** Calls so far, as `map iova pfn order count` and so on. */
  readonly calls: string[] = [];
  /** What the n-th map_pages does: [errno, pages mapped]; success if there is no answer. */
  readonly mapAnswers: (readonly [number, number] | undefined)[] = [];
  /** What the n-th unmap_pages returns; the whole piece if there is no answer. */
  readonly unmapAnswers: (number | undefined)[] = [];

  constructor(pageOrders: readonly number[] = [0, 9, 18], isIommupt = false) {
    this.pageOrders = pageOrders;
    this.isIommupt = isIommupt;
  }

  mapPages(iovaPn: number, pfn: number, order: number, count: number, prot: number): number {
    this.calls.push(`map ${iovaPn} ${pfn} ${order} ${count} ${prot}`);
    const [error, mapped] = this.mapAnswers.shift() ?? [0, count * 2 ** order];
    this.mapped = mapped;
    return error;
  }

  unmapPages(iovaPn: number, order: number, count: number, gather: IotlbGather): number {
    this.calls.push(`unmap ${iovaPn} ${order} ${count}`);
    const unmapped = this.unmapAnswers.shift() ?? count * 2 ** order;
    gather.add(iovaPn, unmapped);
    return unmapped;
  }

  iotlbSync(gather: IotlbGather): void {
    this.calls.push(`sync ${gather.start} ${gather.end}`);
    gather.reset();
  }

  iovaToPhys(iovaPn: number): number {
    return iovaPn;
  }

  iovaToPhysRun(iovaPn: number, npage: number, out: PhysRun): void {
    out.pfn = iovaPn;
    out.npage = npage;
  }

  leaves(): Iterable<IoLeaf> {
    return [];
  }

  nextLeaves(): boolean {
    return false;
  }
}
