/** What of VFIO type1 holds since when. */
import { Errno } from '@pinfold/base';
import { pinAlgorithm, type Type1Rules } from '@pinfold/vfio-type1';
import { initially, since, type Histories } from './fact.ts';

const DRIVER = 'drivers/vfio/vfio_iommu_type1.c';
const OVERFLOW_CHECKS = `${DRIVER}, 7.3; recordings of 6.18.15 and 7.2.12`;

/** The history of every type1 rule. */
export const type1History: Histories<Type1Rules> = {
  pinAlgorithm: [
    initially(
      pinAlgorithm('page-at-a-time'),
      'pages are pinned one by one, and the one after each chunk twice',
      `${DRIVER} vfio_pin_pages_remote, 5.10; recordings of 5.10.223, b01`,
    ),
    since(
      '5.12',
      pinAlgorithm('batched-page-array'),
      'pages are pinned in batches of 512, and device memory is looked up page by page',
      `${DRIVER} vfio_pin_pages_remote, 6.12; recordings of 6.1.176 and 6.12.90`,
    ),
    since(
      '6.16',
      pinAlgorithm('batched'),
      'device memory is looked up by page-table entry, and a lone page is pinned once',
      `${DRIVER} vaddr_get_pfns, 6.16; recordings of 6.16.12`,
    ),
    since(
      '6.18',
      pinAlgorithm('series-1-4'),
      'runs of pages are charged at once, and a range unpin puts folio by folio',
      `${DRIVER} num_pages_contiguous, vfio_unpin_pages_remote, 6.18; recordings of 6.18.15`,
    ),
  ],
  batchCapacity: [
    initially('page', 'a batch is one page of pointers', `${DRIVER} vfio_batch_init, 6.12`),
  ],
  wrapErrno: [
    initially(
      Errno.EINVAL,
      'a range that wraps is EINVAL',
      `${DRIVER}, 6.16; recordings of 6.16.12`,
    ),
    since('6.18', Errno.EOVERFLOW, 'a range that wraps is EOVERFLOW', OVERFLOW_CHECKS),
  ],
  rangeCheckedFirst: [
    initially(
      false,
      'MAP_DMA tests size and wrapping where it uses them',
      `${DRIVER} vfio_dma_do_map, 6.16`,
    ),
    since('6.18', true, 'MAP_DMA tests size and wrapping before all else', OVERFLOW_CHECKS),
  ],
  dirtyRangeToTop: [
    initially(
      false,
      'a dirty bitmap up to 2^64 is EINVAL',
      'recordings of 6.12.90 and 6.16.12, edge03',
    ),
    since(
      '6.18',
      true,
      'a dirty bitmap up to 2^64 is read',
      'recordings of 6.18.15 and 7.2.12, edge03',
    ),
  ],
  exclusiveEnds: [
    initially(
      true,
      'a mapping that ends at 2^64 is not found again',
      'recordings of 6.12.90 and 6.16.12, x37',
    ),
    since('6.18', false, 'a mapping that ends at 2^64 is found', 'recordings of 6.18.15, x37'),
  ],
  externalRangeChecked: [
    initially(false, 'devices may name ranges that wrap', 'recordings of 6.12.90 and 6.16.12, x37'),
    since(
      '6.18',
      true,
      'a range of a device that wraps is EOVERFLOW',
      'recordings of 6.18.15 and 7.2.12, x37',
    ),
  ],
  exactPinLookups: [
    initially(
      true,
      'pins inside pages are charged again when an IOMMU comes',
      `${DRIVER} vfio_find_vpfn, 6.16; recordings of 6.12.90 and 6.16.12, y18`,
    ),
    since(
      '6.18',
      false,
      'pins inside pages are found by range and charged once',
      `${DRIVER} vpfn_pages, 6.18; recordings of 6.18.15, y18`,
    ),
  ],
  pinNeedsNotifier: [
    initially(
      false,
      'a device without dma_unmap may pin beside one with it',
      'recordings of 6.1.176, x34',
    ),
    since('6.12', true, 'a device without dma_unmap may not pin', 'recordings of 6.12.90, x34'),
  ],
  containerCalls: [
    initially(
      false,
      'the core does the calls of devices itself',
      'drivers/vfio/container.c, 6.1; recordings of 6.1.176, x10',
    ),
    since(
      '6.2',
      true,
      'the core hands the calls of devices to the container',
      'drivers/vfio/container.c vfio_device_container_unpin_pages, 6.12; recordings of 6.12.90, x10',
    ),
  ],
  fgspTest: [
    initially(
      true,
      'attaching maps two pages to test for superpages',
      `${DRIVER} vfio_test_domain_fgsp, 6.12`,
    ),
    since('6.16', false, 'attaching tests for no superpages', 'recordings of 6.16.12'),
  ],
  nestingErrno: [
    initially(
      Errno.ENODEV,
      'VFIO_SET_IOMMU with the nesting type is ENODEV',
      'recordings of 5.10.223, v07',
    ),
    since(
      '5.13',
      Errno.EINVAL,
      'VFIO_SET_IOMMU with the nesting type is EINVAL',
      'drivers/iommu/iommu.c iommu_enable_nesting, 5.13; recordings of 6.1.176, v07',
    ),
  ],
  unmapAll: [
    initially(false, 'UNMAP_DMA has no flag ALL', 'recordings of 5.10.223, u05'),
    since(
      '5.12',
      true,
      'one UNMAP_DMA with the flag ALL unmaps everything',
      `${DRIVER} vfio_dma_do_unmap, 5.12; recordings of 6.1.176, u05`,
    ),
  ],
  updateVaddr: [
    initially(false, 'the vaddr of a mapping stays', 'recordings of 5.10.223, e20'),
    since(
      '5.12',
      true,
      'the vaddr of a mapping can be replaced',
      `${DRIVER} vfio_dma_do_map, 5.12; recordings of 6.1.176, e20`,
    ),
  ],
  unmapOrder: [
    initially(
      'tree',
      'UNMAP_DMA takes mappings as they are met from the root of their tree, and may lose dirty bits',
      'recordings of 5.10.223, u01 and d08',
    ),
    since(
      '5.12',
      'address',
      'UNMAP_DMA takes mappings in the order of their addresses',
      `${DRIVER} vfio_find_dma_first_node, 5.12; recordings of 6.1.176, u01`,
    ),
  ],
  nestingType: [
    initially(
      true,
      'VFIO_TYPE1_NESTING_IOMMU is offered, and EINVAL',
      'recordings of 6.12.90, grp08',
    ),
    since('6.16', false, 'VFIO_TYPE1_NESTING_IOMMU is ENODEV', 'recordings of 6.16.12, grp08'),
  ],
};
