/**
 * `page-at-a-time`: what kernels before 5.12 do. One GUP call per page; the page after a chunk is
 * pinned to see whether the chunk goes on, put because it does not, and pinned again as the first of
 * the next chunk. Daniel Jordan, December 2020: page-wise because the IOMMU interface did not
 * promise to unmap parts of earlier mappings. Unmapping is that of 6.16.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 5.11; reference strategies.md (a)
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinPageByPage } from '../pin-page-by-page.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const pageAtATime: PinAlgorithm = definePinAlgorithm({
  name: 'page-at-a-time',
  summary: 'one GUP call per page, and one more for the page after every chunk',
  source: 'kernels before 5.12',
  repins: true,

  pinChunk: (iommu, dma, vaddr, npage, limit, batch, chunk) =>
    pinPageByPage(iommu, dma, vaddr, npage, limit, batch, chunk, null),
});
