/** The registry of pin algorithms: one line per algorithm. */
export { batchedPageArray } from './batched-page-array.ts';
export { batched } from './batched.ts';
export { contiguousExternal2020 } from './contiguous-external-2020.ts';
export { extent } from './extent.ts';
export { folioV22025 } from './folio-v2-2025.ts';
export { hugetlb2020 } from './hugetlb-2020.ts';
export { hugetlbV12025 } from './hugetlb-v1-2025.ts';
export { pageAtATime } from './page-at-a-time.ts';
export { pageList } from './page-list.ts';
export { series12 } from './series-1-2.ts';
export { series13 } from './series-1-3.ts';
export { series14Unfixed } from './series-1-4-unfixed.ts';
export { series14 } from './series-1-4.ts';
export { series1Compare } from './series-1-compare.ts';
export { series1Folio } from './series-1-folio.ts';
export { unpinFolio2025 } from './unpin-folio-2025.ts';
export { unpinRfc2025 } from './unpin-rfc-2025.ts';
