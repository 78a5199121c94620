/**
 * What the checks of system calls that are no ioctl of VFIO test: memory, files, devices, children.
 *
 * @source mm/mmap.c, mm/mprotect.c, mm/madvise.c, mm/mlock.c, mm/hugetlb.c, arch/x86/mm/fault.c, 6.16
 */
import { pagesOf } from '@pinfold/base';
import type { CheckExplanation } from './check-explanation.ts';
import type { Detail } from './detail.ts';
import { countText, pagesText, sizeText } from './units.ts';

/** What each advice wants of memory. */
const ADVICE_WANTS: Readonly<Record<string, string>> = {
  collapse: 'private anonymous memory without MADV_NOHUGEPAGE',
  dontneed: 'memory that is neither locked nor of a device',
  free: 'private anonymous memory that is not locked',
  remove: 'a shared mapping of a file that is not locked',
  popread: 'memory that may be read, and is of no device',
  popwrite: 'memory that may be written, and is of no device',
};

const deviceClosed: CheckExplanation['say'] = (d) =>
  `The device ${d.text('device')} is not open: \`device dev=${d.text('device')}\` opens it, after its group has joined a container that has its IOMMU type.`;

const noFrame: CheckExplanation['say'] = () =>
  'The machine has no free page left. Give it more memory with a `machine memory=PFNxN,...` line, or use less.';

const hole: CheckExplanation['say'] = (d) =>
  `Nothing is mapped at ${d.text('hole')}, which the range includes. What lies before it was done.`;

const misaligned: CheckExplanation['say'] = (d) => {
  const size = sizeText(BigInt(d.text('pageBytes')));
  return d.text('cutAt') === ''
    ? `The address ${d.text('va')} is no multiple of the page size, ${size}.`
    : `The range ${d.text('cutAt') === d.text('va') ? 'begins' : 'ends'} at ${d.text('cutAt')}, inside a huge page of ${size}: choose multiples of ${size}.`;
};

/** Huge pages that are missing: from the pool, and in which line that is set. */
function poolText(d: Detail): string {
  const order = d.number('order');
  const free = d.number('freeHugePages');
  const reserved = d.number('resvHugePages');
  const kept = reserved > 0 ? `, ${reserved} of them reserved for other mappings` : '';
  return `the pool of ${sizeText(BigInt(pagesOf(order)) * 4096n)} has ${free} free${kept}`;
}

/** Where a pool of huge pages is set, on a host and in a scenario. */
function morePages(d: Detail, missing: number): string {
  const kb = pagesOf(d.number('order')) * 4;
  const scenario = kb === 2048 ? '; in a scenario: `machine hugepages=N`' : '';
  return `${countText(missing, 'more huge page')} would do (/sys/kernel/mm/hugepages/hugepages-${kb}kB/nr_hugepages${scenario}).`;
}

/** The checks, those of one function from the most to the least particular. */
export const syscallChecks: readonly CheckExplanation[] = [
  { at: 'mmap', sees: ['device'], say: deviceClosed },
  { at: 'pwrite', sees: ['device'], say: deviceClosed },
  {
    at: 'dev_dax_mmap',
    sees: ['shared'],
    say: (d) =>
      d.text('shared') === 'true'
        ? `Address and size of a mapping of devdax are multiples of 2 MiB; it has ${pagesText(d.number('npage'))}.`
        : 'A mapping of devdax is shared (MAP_SHARED); this one is private.',
  },
  {
    at: 'close',
    sees: ['device'],
    say: (d) => `The device ${d.text('device')} is not open.`,
  },
  {
    at: 'vfio_pci_core_mmap',
    sees: ['barPages'],
    say: (d) =>
      d.number('barPages') === 0
        ? `The device ${d.text('device')} has no BAR ${d.text('bar')}.`
        : `BAR ${d.text('bar')} of ${d.text('device')} has ${pagesText(d.number('barPages'))}; the mmap wants ${pagesText(d.number('npage'))} from page ${d.text('offPages')} on.`,
  },
  {
    at: 'pci_mmap_resource_range',
    sees: ['barPages'],
    say: (d) =>
      `${d.text('path')} has ${pagesText(d.number('barPages'))}; the mmap wants ${pagesText(d.number('npage'))}.`,
  },
  { at: 'do_mmap', sees: ['size'], say: () => 'The size is 0.' },
  {
    at: 'do_mmap',
    sees: ['pageBytes'],
    say: (d) => {
      const page = BigInt(d.text('pageBytes'));
      const wrong = ['addr', 'off'].filter((name) => BigInt(d.text(name)) % page !== 0n);
      return `${wrong.map((name) => `${name}=${d.text(name)}`).join(' and ')} must be a multiple of the page size, ${sizeText(page)}.`;
    },
  },
  {
    at: 'do_mmap',
    sees: ['otherVpn'],
    say: (d) =>
      `The range ${d.bytes('vpn')}, ${sizeText(BigInt(d.number('npage')) * 4096n)}, meets memory that is mapped from ${d.bytes('otherVpn')} to ${d.bytes('otherEnd')}: choose another addr=, or flags=fixed, which replaces it.`,
  },
  {
    at: '__get_unmapped_area',
    sees: ['addr'],
    say: (d) =>
      `${pagesText(d.number('npage'))} from ${d.text('addr')} on end above 0x7ffffffff000, the last address of a process.`,
  },
  {
    at: 'hugetlb_acct_memory',
    sees: ['wanted'],
    say: (d) => {
      const missing = d.number('wanted') - d.number('freeHugePages') + d.number('resvHugePages');
      return `The mmap reserves ${countText(d.number('wanted'), 'huge page')}, but ${poolText(d)}. ${morePages(d, missing)}`;
    },
  },
  {
    at: '__vm_enough_memory',
    sees: ['npage'],
    say: (d) =>
      `${pagesText(d.number('npage'))} are more than all memory of the machine. A \`machine memory=PFNxN,...\` line gives it more; with flags=noreserve the mmap is not refused, but the memory is not there either.`,
  },
  { at: 'do_vmi_munmap', sees: ['pageBytes'], say: misaligned },
  {
    at: 'do_vmi_munmap',
    sees: ['va'],
    say: () => 'The range ends above the addresses of a process.',
  },
  { at: 'do_vmi_munmap', sees: ['size'], say: () => 'The size is 0.' },
  { at: 'do_mprotect_pkey', sees: ['pageBytes'], say: misaligned },
  { at: 'do_mprotect_pkey', sees: ['hole'], say: hole },
  { at: 'apply_vma_lock_flags', sees: ['hole'], say: hole },
  {
    at: 'apply_vma_lock_flags',
    sees: ['va'],
    say: () => 'The range ends above the addresses of a process.',
  },
  { at: 'do_madvise', sees: ['pageBytes'], say: misaligned },
  { at: 'madvise_walk_vmas', sees: ['hole'], say: hole },
  {
    at: 'madvise_vma_behavior',
    sees: ['advice'],
    say: (d) => {
      const kind = `${d.text('shared') === 'true' ? 'shared' : 'private'} ${d.text('memory')} memory`;
      const locked = d.text('locked') === 'true' ? ', locked' : '';
      return `advice=${d.text('advice')} wants ${ADVICE_WANTS[d.text('advice')] ?? 'other memory'}; at ${d.bytes('vpn')} lies ${kind} with access ${d.text('access')}${locked}.`;
    },
  },
  {
    at: 'collapse_huge_page',
    sees: ['advice'],
    say: () =>
      'A page of the range is pinned, such as for a mapping of a device: such memory cannot be moved into a huge page. Unmap it from the device first.',
  },
  {
    at: 'madvise_collapse',
    sees: ['advice'],
    say: (d) =>
      d.text('blocks') === 'true'
        ? 'No page of a block of 2 MiB is there yet: touch it first.'
        : 'The memory is too small for an aligned block of 2 MiB: map more, at a multiple of 2 MiB.',
  },
  {
    at: 'alloc_charge_folio',
    sees: ['advice'],
    say: () => 'The machine has no free block of 2 MiB left for a huge page.',
  },
  {
    at: 'do_user_addr_fault',
    sees: ['mapped'],
    say: (d) => `Nothing is mapped at ${d.bytes('vpn')}: the access ends in SIGSEGV.`,
  },
  {
    at: 'do_user_addr_fault',
    sees: ['access'],
    say: (d) =>
      `The memory at ${d.bytes('vpn')} does not allow ${d.text('writes') === 'true' ? 'a write' : 'a read'}, its access is ${d.text('access')}: the access ends in SIGSEGV. prot= of its mmap, or mprotect, decides that.`,
  },
  {
    at: 'handle_mm_fault',
    sees: ['order'],
    say: (d) =>
      `No huge page is left for ${d.bytes('vpn')}: ${poolText(d)}. The access ends in SIGBUS. ${morePages(d, 1)}`,
  },
  {
    at: 'handle_mm_fault',
    sees: ['vpn'],
    say: (d) =>
      d.text('memory') === 'BAR'
        ? `The device does not decode its memory, of which ${d.bytes('vpn')} is part (bit 2 of PCI_COMMAND; \`pcicmd dev= val=6\` sets it): the access ends in SIGBUS.`
        : `The file ends before the page at ${d.bytes('vpn')}: the access ends in SIGBUS. fsize= of the mmap decides that.`,
  },
  { at: 'do_anonymous_page', sees: ['freePages'], say: noFrame },
  { at: 'populate_vma_page_range', sees: ['freePages'], say: noFrame },
  {
    at: 'dup_mmap',
    sees: ['freePages'],
    say: () =>
      'Pinned pages are copied for a child at once, and the machine has no free page left for them.',
  },
  { at: 'do_wait', sees: ['children'], say: () => 'There is no child: `fork` makes one.' },
];
