import { checkAlgorithm } from '@pinfold/check';
import { pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';

const batched = pinAlgorithm('batched');
// Forgets to unpin the last page of a run that an unmap has found.
const leaky: PinAlgorithm = {
  ...batched,
  name: 'leaky',
  unpinRegion(iommu, dma, iovaPn, pfn, npage, doAccounting) {
    return batched.unpinRegion(iommu, dma, iovaPn, pfn, npage - 1, doAccounting);
  },
};

const report = await checkAlgorithm({ algorithm: leaky, runs: 40, seed: 1 });
for (const { invariant, what, scenario } of report.findings) {
  console.log(`${invariant}: ${what}\n${scenario}`);
}
