/**
 * VT-d second-stage tables as the generic page table code keeps them; what the driver adds is the
 * flush.
 *
 * @source drivers/iommu/generic_pt/fmt/vtdss.h, 7.2
 */
import type { Counters } from '@pinfold/base';
import type { IotlbGather } from '../iotlb-gather.ts';
import type { DriverFunctions, IoPageTableFormat, IoPageTableOptions } from './format.ts';
import { GenericPt } from './generic-pt.ts';
import { intelTlbSync, vtdShape } from './vtd-tables.ts';

const TRACED: DriverFunctions = { map: ['vtdss_map_range'], unmap: ['vtdss_unmap_range'] };

class GenericPtVtdSs extends GenericPt {
  constructor(options: IoPageTableOptions, counters: Counters) {
    super(vtdShape(options), counters);
  }

  /** Only whoever looks closely sees the calls inside iommu_map. */
  get traced(): DriverFunctions | undefined {
    return this.counters.tracer?.details === true ? TRACED : undefined;
  }

  override iotlbSync(gather: IotlbGather): void {
    intelTlbSync(gather, this.counters);
    this.freeGathered(gather);
  }
}

/** The format's entry in the registry. */
export const genericPtVtdSs: IoPageTableFormat = {
  name: 'generic-pt-vtd-ss',
  summary: 'VT-d second-stage tables, 4K, 2M and 1G leaves, generic page table code of 7.2',
  create: (options, counters) => new GenericPtVtdSs(options, counters),
};
