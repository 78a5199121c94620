/**
 * What the checks of emulated devices test: pins, reads and writes, and the groups that come and go
 * next to them.
 *
 * @source reference type1.md §9, §11; README-extpin, "What the recordings show"
 */
import { byteAddress } from '@pinfold/base';
import { hex } from '@pinfold/scenario';
import type { CheckExplanation } from './check-explanation.ts';
import type { Detail } from './detail.ts';
import { nameOf, type LiveMappings } from './live-mappings.ts';

/** End of the address space. */
const U64_END = 2n ** 64n;

/** Access bits in words. */
function access(prot: number): string {
  if (prot === 0) return 'nothing';
  const known = [prot & 1 ? 'READ' : '', prot & 2 ? 'WRITE' : ''].filter((name) => name !== '');
  return prot > 3 || prot < 0 ? String(prot) : known.join(' and ');
}

/** Why no mapping was found at an address. */
function notMapped(d: Detail, live: LiveMappings): string {
  const iova = BigInt(d.text('iova'));
  const there = live.at(iova);
  return there && there.iova + there.size === U64_END
    ? `There is ${nameOf(there)}, but it ends at 2^64, and up to 6.16 the kernel does not find such a mapping.`
    : `No mapping lies at iova ${hex(iova)}.`;
}

const wrongAccess: CheckExplanation['say'] = (d, live) => {
  const found = live.at(byteAddress(d.number('dmaIovaPn')));
  const where = found ? nameOf(found) : `the mapping at iova ${d.text('iova')}`;
  const has = `${where} allows ${access(d.number('dmaProt'))}`;
  return d.text('write') === ''
    ? `The device wants ${access(d.number('prot'))}, but ${has}.`
    : `${d.text('write') === 'true' ? 'A device that writes needs READ and WRITE' : 'A device that reads needs READ'}, but ${has}.`;
};

const notOpen: CheckExplanation['say'] = () =>
  'The device is not open: only between open_device and close_device may a driver use its pages. The kernel warns.';

/** The checks, those of one function from the most to the least particular. */
export const externalChecks: readonly CheckExplanation[] = [
  { at: 'vfio_pin_pages', sees: ['openDevice'], say: notOpen },
  {
    at: 'vfio_pin_pages',
    sees: ['device'],
    say: (d) =>
      `The driver of ${d.text('device')} has no dma_unmap operation: it could not give pages back when a mapping goes, so that it may pin none.`,
  },
  {
    at: 'vfio_pin_pages',
    sees: ['npage'],
    say: (_d, _live, { operation }) =>
      operation.op === 'pin' && operation.null
        ? 'The page array is NULL.'
        : 'No page is asked for: n is 0.',
  },
  {
    at: 'vfio_device_container_pin_pages',
    sees: ['npage'],
    say: (d) =>
      `${d.text('npage')} pages are too many for one call: 512, a page of pointers. The number is compared without its sign.`,
  },
  {
    at: 'vfio_iommu_type1_pin_pages',
    sees: ['v2'],
    say: () => 'External pins need type1 v2, which keeps mappings whole.',
  },
  {
    at: 'vfio_iommu_type1_pin_pages',
    sees: ['npage'],
    say: (d) => `${d.text('npage')} pages from iova ${d.text('iova')} on wrap at 2^64.`,
  },
  {
    at: 'vfio_iommu_type1_pin_pages',
    sees: ['vaddrInvalidCount'],
    say: (d) =>
      `The vaddr of ${d.text('vaddrInvalidCount')} mappings is invalid: nobody knows which memory is behind them.`,
  },
  {
    at: 'vfio_iommu_type1_pin_pages',
    sees: ['openDevices'],
    say: () => 'No device of the container is open that could be told of unmaps.',
  },
  { at: 'vfio_iommu_type1_pin_pages', sees: ['mapped'], say: notMapped },
  { at: 'vfio_iommu_type1_pin_pages', sees: ['dmaProt'], say: wrongAccess },
  {
    at: 'vfio_iommu_type1_pin_pages',
    sees: ['valid'],
    say: (d) =>
      `Behind iova ${d.text('iova')} lies memory of a device, which has no struct page to pin; vfio_dma_rw works there.`,
  },
  {
    at: 'vfio_pin_page_external',
    sees: ['mmUsers'],
    say: () => 'The process whose memory the mapping is has ended.',
  },
  { at: 'vfio_dma_rw', sees: ['openDevice'], say: notOpen },
  {
    at: 'vfio_dma_rw',
    sees: ['length'],
    say: (_d, _live, { operation }) =>
      operation.op === 'dmarw' && operation.null ? 'The buffer is NULL.' : 'The length is 0.',
  },
  {
    at: 'vfio_iommu_type1_dma_rw',
    sees: ['vaddrInvalidCount'],
    say: (d) =>
      `The vaddr of ${d.text('vaddrInvalidCount')} mappings is invalid: nobody knows which memory is behind them.`,
  },
  {
    at: 'vfio_iommu_type1_dma_rw',
    sees: ['mapped'],
    say: (d, live) => `${notMapped(d, live)} What came before it has been copied.`,
  },
  { at: 'vfio_iommu_type1_dma_rw', sees: ['dmaProt'], say: wrongAccess },
  {
    at: 'vfio_iommu_type1_dma_rw',
    sees: ['left'],
    say: (d) =>
      `The memory at ${d.text('vaddr')}, behind iova ${d.text('iova')}, cannot be accessed: ${d.text('left')} of ${d.text('bytes')} bytes were not copied.`,
  },
  {
    at: 'vfio_iommu_type1_dma_rw',
    sees: ['ownMemory'],
    say: () =>
      'The caller is another process than the one that made the mapping: only that one, or a kernel thread, can copy from its memory.',
  },
  {
    at: 'vfio_iommu_type1_dma_rw',
    sees: ['mmUsers'],
    say: () => 'The process whose memory the mapping is has ended.',
  },
  {
    at: 'vfio_dma_do_unmap',
    sees: ['emulatedGroups'],
    say: () =>
      'An emulated group is in the container: its devices may look addresses up at any time, so that no vaddr can be invalidated.',
  },
  {
    at: 'vfio_dma_do_unmap',
    sees: ['bug'],
    say: () =>
      'The kernel has told the open devices 11 times that the mapping goes, and pages of it are still pinned: BUG_ON(++retries > 10). It holds its lock for ever.',
  },
  {
    at: 'bitmap_set',
    sees: ['bug'],
    say: () =>
      'A device has pinned a page at an address that begins below its mapping, and dirty pages are logged. The number of the page’s bit wraps below 0: the kernel writes 512 MiB behind the mapping’s bitmap.',
  },
  {
    at: 'vfio_group_ioctl_unset_container',
    sees: ['openDevices'],
    say: () => 'A device of the group is open; its file must be closed first.',
  },
  {
    at: 'vfio_group_ioctl_unset_container',
    sees: ['joined'],
    say: () => 'The group is in no container.',
  },
  {
    at: 'vfio_group_ioctl_set_container',
    sees: ['joined'],
    say: () =>
      'The group is in a container already; it can be in one. Take it out first (VFIO_GROUP_UNSET_CONTAINER), with its device closed.',
  },
  {
    at: 'vfio_df_group_open',
    sees: ['joined'],
    say: () =>
      'The group is in no container, so that its device cannot be opened: first VFIO_GROUP_SET_CONTAINER, then VFIO_SET_IOMMU.',
  },
  {
    at: 'vfio_group_use_container',
    sees: ['device'],
    say: () =>
      'The container has no IOMMU type yet (VFIO_SET_IOMMU), so that no device can be opened.',
  },
  {
    at: 'vfio_iommu_replay',
    sees: ['iovaPn'],
    say: (d) =>
      `The mappings were not in any IOMMU while only emulated groups were there; now that they are to be, the IOMMU refuses iova ${d.bytes('iovaPn')}. Everything is undone.`,
  },
];
