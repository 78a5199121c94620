import { PhysRun } from '@pinfold/iommu';
import { expect, test } from 'vitest';
import { Guest, PFN, VPN } from '../test/guest.ts';
import { scanIovaToPhys } from './scan-iova-to-phys.ts';

test.each([
  // from page, pages left, run
  [0, 10, { pfn: PFN, npage: 4 }],
  [1, 9, { pfn: PFN + 1, npage: 3 }],
  [4, 6, { pfn: PFN + 100, npage: 6 }],
  [4, 2, { pfn: PFN + 100, npage: 2 }],
  [10, 5, { pfn: 0, npage: 0 }],
])('from page %i, %i pages left', (from, npage, expected) => {
  const pfns = [0, 1, 2, 3, 100, 101, 102, 103, 104, 105].map((page) => PFN + page);
  const guest = new Guest().mmapFrames(VPN, pfns);
  guest.map(0, 10);
  const [dma] = guest.iommu.dmaList;
  const run = new PhysRun();
  scanIovaToPhys(guest.iommu, dma, from, npage, run);
  expect(run).toEqual(expected);
});
