import { Counters } from '@pinfold/base';
import { intelVtd, IOMMU, iommuPagingDomainAlloc, LATEST_IOMMU_RULES } from '@pinfold/iommu';

const rules = { ...LATEST_IOMMU_RULES, formats: { 'intel-vtd': 'vtd-second-level' } };
const counters = new Counters();
const domain = iommuPagingDomainAlloc(intelVtd(), rules, counters);

// 1,026 pages, of which iova and frame are aligned to 2 MiB from the second on.
const ret = domain.map(0x3ff, 0x803ff, 1026, IOMMU.READ | IOMMU.WRITE);
console.log(`map: ${ret}`);
for (const { iovaPn, pfn, order } of domain.leaves()) {
  console.log(`  iova ${iovaPn.toString(16)} -> pfn ${pfn.toString(16)}, ${2 ** order} pages`);
}
console.log(`iova_to_phys(500): ${domain.iovaToPhys(0x500).toString(16)}`);

// VT-d takes a large leaf whole: one page is asked for, 512 go.
console.log(`unmap of 1 page at 400: ${domain.unmap(0x400, 1)} pages`);
console.log(`iova_to_phys(500): ${domain.iovaToPhys(0x500)}`);

const { iommuLeaves4k, iommuLeaves2m, iovaToPhysLevels, cacheTagFlushes } = counters.snapshot();
console.log(`leaves of 4 KiB: ${iommuLeaves4k}, of 2 MiB: ${iommuLeaves2m}`);
console.log(`levels walked: ${iovaToPhysLevels}, flushes: ${cacheTagFlushes}`);
