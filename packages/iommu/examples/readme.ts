import * as iommu from '@pinfold/iommu';

console.log(Object.keys(iommu).length > 0);
