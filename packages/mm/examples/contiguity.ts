import { MemMap, nthPage, numPagesContiguous, PAGES_PER_SECTION } from '@pinfold/mm';

// Eight pages with consecutive pfns, the last four in the next section of 128 MiB.
const first = PAGES_PER_SECTION - 4;
for (const model of ['sparsemem-vmemmap', 'sparsemem'] as const) {
  const memmap = new MemMap([{ pfn: 0, npage: 4 * PAGES_PER_SECTION }], model);
  const pages = Float64Array.from({ length: 8 }, (_, i) => memmap.pfnToPage(first + i));
  const [page, , , , fifth] = pages;
  console.log(model);
  console.log(`  page + 4 is the page of pfn + 4: ${page + 4 === fifth}`);
  console.log(`  nth_page(page, 4) is: ${nthPage(memmap, page, 4) === fifth}`);
  console.log(`  num_pages_contiguous: ${numPagesContiguous(memmap, pages, 0, 8)}`);
}
