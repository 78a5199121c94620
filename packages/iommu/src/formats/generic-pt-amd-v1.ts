/**
 * AMD v1 tables as the generic page table code keeps them: it adds all levels that a map needs at
 * once, and a flush drops directory entries only if tables were freed.
 *
 * @source drivers/iommu/generic_pt/fmt/amdv1.h, drivers/iommu/amd/iommu.c, 7.2; recordings
 * README-amd, "Levels", "Unmapping, 7.2", "Flushes"
 */
import { Slot, type Counters, type Extents, type IovaPn } from '@pinfold/base';
import { AmdDomain } from '../drivers/amd-iommu.ts';
import type { IotlbGather } from '../iotlb-gather.ts';
import { AMD_V1_SHAPE } from './amd-v1-tables.ts';
import type {
  DriverFunctions,
  IommuDevice,
  IoPageTableFormat,
  IoPageTableOptions,
} from './format.ts';
import { GenericPt } from './generic-pt.ts';

const TRACED: DriverFunctions = { map: ['amdv1_map_range'], unmap: ['amdv1_unmap_range'] };

class GenericPtAmdV1 extends GenericPt {
  readonly traced = TRACED;
  readonly #domain: AmdDomain;

  constructor(options: IoPageTableOptions, counters: Counters) {
    super(AMD_V1_SHAPE, counters);
    this.#domain = new AmdDomain(
      options,
      { flushesToLast: true, keepsDirectories: true },
      counters,
    );
    this.traceAlloc();
  }

  override mapLeaves(
    iovaPn: IovaPn,
    extents: Extents,
    from: number,
    to: number,
    prot: number,
  ): number {
    return this.#domain.npCache ? 0 : super.mapLeaves(iovaPn, extents, from, to, prot);
  }

  override iotlbSync(gather: IotlbGather): void {
    this.#domain.iotlbSync(gather);
    this.#domain.putPages();
    this.freeGathered(gather);
  }

  iotlbSyncMap(iovaPn: IovaPn, npage: number): void {
    if (this.#domain.npCache || this.counters.tracer !== null)
      this.#domain.iotlbSyncMap(iovaPn, npage);
  }

  attachDevice(device: IommuDevice): void {
    this.#domain.attach(device);
  }

  detachDevice(device: IommuDevice): void {
    this.#domain.detach(device);
  }

  freeAll(): void {
    this.#domain.free();
  }

  protected override grow(end: IovaPn): void {
    while (end > this.reach) this.addLevel();
    this.#domain.changedTop();
  }

  protected override addToGather(gather: IotlbGather, iovaPn: IovaPn, npage: number): void {
    if (this.#domain.npCache && gather.isDisjoint(iovaPn, npage)) {
      this.counters.add(Slot.iotlbGatherSyncs, 1);
      this.iotlbSync(gather);
    }
    gather.addRange(iovaPn, npage);
  }
}

/** The format's entry in the registry. */
export const genericPtAmdV1: IoPageTableFormat = {
  name: 'generic-pt-amd-v1',
  summary: 'AMD v1 host page tables, every power of two, generic page table code of 7.2',
  create: (options, counters) => new GenericPtAmdV1(options, counters),
};
