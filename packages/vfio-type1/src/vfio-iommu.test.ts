import { Errno } from '@pinfold/base';
import { expect, test } from 'vitest';
import { Guest } from '../test/guest.ts';
import { DEFAULT_MODULE_PARAMS, VfioIommu } from './vfio-iommu.ts';
import { RUNS } from '../test/kernels.ts';

const { type1 } = RUNS;

test('the module parameters are those of the module', () => {
  expect(DEFAULT_MODULE_PARAMS).toEqual({ disableHugepages: false, dmaEntryLimit: 65_535 });
});

test('a new container has no domain, no restriction and all its entries', () => {
  const { memory } = new Guest();
  const iommu = new VfioIommu(memory, type1, { ...DEFAULT_MODULE_PARAMS, dmaEntryLimit: 9 }, true);
  expect(iommu).toMatchObject({ domainList: [], iovaList: [], dmaAvail: 9, vaddrInvalidCount: 0 });
  expect([iommu.dmaList.size, iommu.pgsize, iommu.failure]).toEqual([0, 4096n, null]);
  expect(iommu.pgsizeBitmap).toBe(0xffff_ffff_ffff_f000n);
  expect(iommu.counters).toBe(memory.counters);
});

test('a failure is the negative errno, and is remembered with what the check saw', () => {
  const iommu = new VfioIommu(new Guest().memory, type1, DEFAULT_MODULE_PARAMS, true);
  expect(iommu.fail(Errno.ENOSPC, 'vfio_dma_do_map', { dmaEntryLimit: 0 })).toBe(-28);
  expect(iommu.failure).toEqual({ at: 'vfio_dma_do_map', detail: { dmaEntryLimit: 0 } });
});
