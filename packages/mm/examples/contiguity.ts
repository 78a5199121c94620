import { X86_64 } from '@pinfold/base';
import { MemMap, nthPage, numPagesContiguous } from '@pinfold/mm';

// Eight pages with consecutive pfns, the last four in the next section of 128 MiB.
const first = X86_64.sectionPages - 4;
for (const model of ['sparsemem-vmemmap', 'sparsemem'] as const) {
  const memmap = new MemMap([{ pfn: 0, npage: 4 * X86_64.sectionPages }], model);
  const pages = Float64Array.from({ length: 8 }, (_, i) => memmap.pfnToPage(first + i));
  const [page, , , , fifth] = pages;
  console.log(model);
  console.log(`  page + 4 is the page of pfn + 4: ${page + 4 === fifth}`);
  console.log(`  nth_page(page, 4) is: ${nthPage(memmap, page, 4) === fifth}`);
  console.log(`  num_pages_contiguous: ${numPagesContiguous(memmap, pages, 0, 8)}`);
}
