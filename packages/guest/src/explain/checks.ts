/**
 * What each check that can fail tests, in words, with the values that it saw. One entry per check:
 * it is found by the kernel function and the names of the values.
 *
 * @source reference type1.md §2, §7, §10, §11
 */
import { byteAddress } from '@pinfold/base';
import { type Failure, hex } from '@pinfold/scenario';
import type { CheckExplanation } from './check-explanation.ts';
import type { Detail } from './detail.ts';
import { externalChecks } from './external-checks.ts';
import { nameOf, type LiveMappings } from './live-mappings.ts';
import { memlockChecks } from './memlock-checks.ts';
import { syscallChecks } from './syscall-checks.ts';
import { sizeText } from './units.ts';

/** Bytes of the largest bitmap (DIRTY_BITMAP_SIZE_MAX). */
const BITMAP_BYTES_MAX = 2n ** 28n;

/** An earlier mapping by the page of its first address. */
function mapping(live: LiveMappings, detail: Detail): string {
  const found = live.at(byteAddress(detail.number('dmaIovaPn')));
  return found
    ? nameOf(found)
    : `the mapping at iova ${detail.bytes('dmaIovaPn')} of ${detail.bytes('dmaPages')} bytes`;
}

/** What is wrong with the size of a structure, or with its flags. */
function argumentsOf(
  what: string,
  knownFlags: number,
  words: string,
  together: string,
): CheckExplanation['say'] {
  return (d) => {
    const [argsz, flags] = [d.number('argsz'), d.number('flags')];
    if (d.text('minsz') === '') {
      return `argsz is ${argsz}: with these flags struct vfio_bitmap follows the fixed part of ${what}, and argsz is too small for it.`;
    }
    if (argsz < d.number('minsz')) {
      return `argsz is ${argsz}, but the fixed part of ${what} has ${d.text('minsz')} bytes.`;
    }
    const unknown = flags & ~knownFlags;
    return unknown !== 0
      ? `flags ${flags} have an unknown bit, ${unknown >>> 0}; known are ${words}.`
      : `flags ${flags} are a combination that is not allowed: ${together}.`;
  };
}

/** Of a bitmap that does not fit its range. */
function bitmapSize(d: Detail): string {
  const [size, pgsize, bitmap] = ['size', 'pgsize', 'bitmap'].map((name) => BigInt(d.text(name)));
  const page = pgsize & -pgsize;
  const pages = page === 0n ? 0n : size / page;
  if (pages === 0n) return `The range of ${hex(size)} bytes has no page of ${hex(pgsize)} bytes.`;
  const needed = ((pages + 63n) / 64n) * 8n;
  const most = `${sizeText(BITMAP_BYTES_MAX)}, which is ${sizeText(BITMAP_BYTES_MAX * 8n * page)} per call`;
  if (needed > BITMAP_BYTES_MAX) {
    return `A range of ${sizeText(size)} needs a bitmap of ${sizeText(needed)}; the largest is ${most}: ask in pieces.`;
  }
  if (bitmap > BITMAP_BYTES_MAX)
    return `A bitmap of ${sizeText(bitmap)} is too large; the largest is ${most}.`;
  return `The bitmap has ${hex(bitmap)} bytes; ${hex(size)} bytes are ${hex(pages)} pages, and a bit for each, in words of 64, takes ${hex(needed)}: ${hex(needed - bitmap)} bytes are missing.`;
}

function misaligned(...names: string[]): (detail: Detail) => string {
  return (d) => {
    const pgsize = BigInt(d.text('pgsize'));
    const wrong = names.filter((name) => BigInt(d.text(name)) % pgsize !== 0n);
    const zero = d.text('size') === '0x0' ? ['size is 0'] : [];
    const said = [...zero, ...wrong.map((name) => `${name} ${d.text(name)} is no multiple`)];
    return `Addresses and size must be multiples of the smallest IOMMU page, ${d.text('pgsize')}: ${said.join(', ') || 'ALL wants iova and size 0'}.`;
  };
}

function wraps(...names: string[]): CheckExplanation['say'] {
  return (d) => {
    const end = (name: string): bigint => BigInt(d.text(name)) + BigInt(d.text('size'));
    const wrong = names.filter((name) => end(name) > 2n ** 64n);
    return `The range wraps at 2^64: ${wrong.map((name) => `${name} ${d.text(name)} + size ${d.text('size')}`).join(', ')}.`;
  };
}

/** All checks, those of one function from the most to the least particular. */
export const checks: readonly CheckExplanation[] = [
  {
    at: 'vfio_iommu_type1_map_dma',
    sees: ['argsz', 'minsz'],
    say: argumentsOf(
      'struct vfio_iommu_type1_dma_map',
      7,
      'READ 1, WRITE 2, VADDR 4',
      'VADDR goes with neither READ nor WRITE',
    ),
  },
  { at: 'vfio_iommu_type1_map_dma', sees: ['iova', 'vaddr', 'size'], say: wraps('iova', 'vaddr') },
  { at: 'vfio_iommu_type1_map_dma', sees: ['size'], say: () => 'The size is 0.' },
  {
    at: 'vfio_iommu_type1_map_dma',
    sees: ['flags'],
    say: (d) =>
      `flags ${d.text('flags')}: a map needs READ or WRITE; VADDR gives an old mapping a new address and goes with neither.`,
  },
  {
    at: 'vfio_dma_do_map',
    sees: ['iova', 'vaddr', 'size', 'pgsize'],
    say: misaligned('iova', 'vaddr', 'size'),
  },
  { at: 'vfio_dma_do_map', sees: ['iova', 'vaddr', 'size'], say: wraps('iova', 'vaddr') },
  {
    at: 'vfio_dma_do_map',
    sees: ['vaddrInvalid'],
    say: (d, live) =>
      d.text('vaddrInvalid') === 'true'
        ? `A new vaddr must be for exactly ${mapping(live, d)}, not for iova ${d.text('iova')} and size ${d.text('size')}.`
        : `The vaddr of ${mapping(live, d)} is valid; only one that UNMAP_DMA with the VADDR flag has invalidated can be replaced.`,
  },
  {
    at: 'vfio_dma_do_map',
    sees: ['dmaIovaPn'],
    say: (d, live) =>
      `The range iova ${d.bytes('iovaPn')}, ${d.bytes('npage')} bytes, overlaps ${mapping(live, d)}.`,
  },
  {
    at: 'vfio_dma_do_map',
    sees: ['dmaEntryLimit'],
    say: (d) =>
      `The container has its ${d.text('dmaEntryLimit')} mappings, which is the dma_entry_limit that held at VFIO_SET_IOMMU. Map larger ranges, of which each is one mapping whatever its size, unmap some first, or raise vfio_iommu_type1.dma_entry_limit before the container gets its IOMMU: one that has it keeps its limit.`,
  },
  {
    at: 'vfio_dma_do_map',
    sees: ['iova', 'size'],
    say: (d) => `No mapping lies at iova ${d.text('iova')}, so there is none to give a vaddr.`,
  },
  {
    at: 'vfio_iommu_iova_dma_valid',
    sees: ['usable'],
    say: (d) => {
      const ranges = d.text('usable').split(',');
      const usable = ranges.map(rangeText).join(', ');
      const range = `The range ${d.bytes('iovaPn')} to ${lastByte(d.number('lastPn'))} does not lie inside one usable range of GET_INFO: ${usable}.`;
      return range + beyondWidth(d.number('lastPn'), Number(ranges.at(-1)?.split('-')[1]));
    },
  },
  {
    at: 'vaddr_get_pfns',
    sees: ['vpn'],
    say: (d) => `The page at ${d.bytes('vpn')} cannot be pinned: ${d.text('why')}.`,
  },
  {
    at: 'iommu_map',
    sees: ['pfn'],
    say: (d) => `The IOMMU refused iova ${d.bytes('iovaPn')} for ${d.bytes('npage')} bytes.`,
  },
  {
    at: 'vfio_iommu_type1_unmap_dma',
    sees: ['argsz'],
    say: argumentsOf(
      'struct vfio_iommu_type1_dma_unmap',
      7,
      'GET_DIRTY_BITMAP 1, ALL 2, VADDR 4',
      'GET_DIRTY_BITMAP goes with neither ALL nor VADDR',
    ),
  },
  {
    at: 'verify_bitmap_size',
    sees: ['bitmap'],
    say: bitmapSize,
  },
  {
    at: 'vfio_dma_do_unmap',
    sees: ['cutAt'],
    say: (d, live) =>
      `The ${d.text('cutAt')} of the range iova ${d.text('iova')}, size ${d.text('size')}, lies inside ${mapping(live, d)}; type1 v2 unmaps whole mappings only.`,
  },
  {
    at: 'vfio_dma_do_unmap',
    sees: ['vaddrInvalid'],
    say: (d, live) =>
      `The vaddr of ${mapping(live, d)} is invalid already; this call has changed nothing.`,
  },
  {
    at: 'vfio_dma_do_unmap',
    sees: ['dirtyTracking'],
    say: (d) =>
      d.text('dirtyTracking') === 'true'
        ? `The bitmap is for pages of ${sizeText(BigInt(d.text('bitmapPgsize')))}, but the smallest IOMMU page has ${sizeText(BigInt(d.text('pgsize')))}.`
        : 'Dirty tracking is off; VFIO_IOMMU_DIRTY_PAGES with START turns it on.',
  },
  { at: 'vfio_dma_do_unmap', sees: ['pgsize'], say: misaligned('iova', 'size') },
  { at: 'vfio_dma_do_unmap', sees: ['iova', 'size'], say: wraps('iova') },
  {
    at: 'vfio_iommu_type1_dirty_pages',
    sees: ['v2'],
    say: () => 'Dirty tracking needs type1 v2.',
  },
  {
    at: 'vfio_iommu_type1_dirty_pages',
    sees: ['argsz'],
    say: (d) =>
      d.number('argsz') < d.number('minsz') || d.text('flags') === ''
        ? `argsz is ${d.text('argsz')}: the structure has ${d.text('minsz')} bytes, and GET_BITMAP needs that of its range behind it.`
        : `flags ${d.text('flags')} have an unknown bit; known are START 1, STOP 2, GET_BITMAP 4.`,
  },
  {
    at: 'vfio_iommu_type1_dirty_pages',
    sees: ['bitmapPgsize'],
    say: (d) =>
      d.text('bitmapPgsize') === d.text('pgsize')
        ? misaligned('iova', 'size')(d)
        : `The bitmap is for pages of ${d.text('bitmapPgsize')} bytes, but the smallest IOMMU page is ${d.text('pgsize')}.`,
  },
  {
    at: 'vfio_iommu_type1_dirty_pages',
    sees: ['flags'],
    say: (d) =>
      `flags ${d.text('flags')}: exactly one of START 1, STOP 2 and GET_BITMAP 4 is wanted.`,
  },
  { at: 'vfio_iommu_type1_dirty_pages', sees: ['iova', 'size'], say: wraps('iova') },
  { at: 'vfio_iommu_type1_dirty_pages', sees: ['size'], say: () => 'The size is 0.' },
  {
    at: 'vfio_iommu_type1_dirty_pages',
    sees: ['dirtyTracking'],
    say: () => 'Dirty tracking is off; START turns it on.',
  },
  {
    at: 'vfio_iova_dirty_bitmap',
    sees: ['dmaIovaPn'],
    say: (d, live) =>
      `The range iova ${d.text('iova')}, size ${d.text('size')}, begins or ends inside ${mapping(live, d)}.`,
  },
  {
    at: 'vfio_dma_bitmap_alloc',
    sees: ['bitsMax'],
    say: (d) =>
      `A mapping of ${d.text('bits')} pages is too large for a dirty bitmap, which has at most ${d.text('bitsMax')} bits.`,
  },
  {
    at: 'update_user_bitmap',
    sees: ['memoryBits'],
    say: (d) => `The memory for the bitmap ends before the ${d.text('bits')} bits of a mapping.`,
  },
  {
    at: 'vfio_iommu_type1_attach_group',
    sees: ['vaddrInvalidCount'],
    say: (d) =>
      `The vaddr of ${d.text('vaddrInvalidCount')} mappings is invalid: a group that joins could not have their memory pinned.`,
  },
  {
    at: 'vfio_iommu_resv_conflict',
    sees: ['region'],
    say: (d) =>
      `A mapping lies in the ${d.text('region')} region ${d.bytes('startPn')} to ${lastByte(d.number('lastPn'))} of group ${d.text('group')}.`,
  },
  {
    at: 'vfio_iommu_aper_conflict',
    sees: ['apertureLastPn'],
    say: (d) =>
      `A mapping lies above ${lastByte(d.number('apertureLastPn'))}, the end of the aperture of group ${d.text('group')}.`,
  },
  {
    at: 'vfio_ioctl_set_iommu',
    sees: ['groups'],
    say: (d) =>
      d.text('set') === 'true'
        ? 'The container has its IOMMU type already.'
        : 'The container has no group; one must be added first.',
  },
  {
    at: 'vfio_ioctl_set_iommu',
    sees: ['noIommu'],
    say: (d) =>
      d.text('type') === '8'
        ? 'vfio.enable_unsafe_noiommu_mode is not set: without it no-IOMMU groups have no driver.'
        : `A container of no-IOMMU groups has type 8 (VFIO_NOIOMMU_IOMMU) only, not ${d.text('type')}.`,
  },
  {
    at: 'vfio_ioctl_set_iommu',
    sees: ['type'],
    say: (d) => `The kernel offers no IOMMU type ${d.text('type')}.`,
  },
  {
    at: 'vfio_iommu_type1_open',
    sees: ['type'],
    say: (d) => `${d.text('type')} is an extension that type1 knows, but no IOMMU type.`,
  },
  {
    at: 'iommu_enable_nesting',
    sees: ['group'],
    say: () => 'The IOMMU driver cannot nest this domain.',
  },
  {
    at: 'vfio_fops_unl_ioctl',
    sees: ['set'],
    say: () => 'The container has no IOMMU type yet (VFIO_SET_IOMMU).',
  },
  {
    at: 'vfio_group_fops_open',
    sees: ['noIommu'],
    say: () => 'A group without an IOMMU opens for CAP_SYS_RAWIO only.',
  },
  {
    at: 'vfio_group_fops_open',
    sees: [],
    say: () => 'The group is open already; it can be open once.',
  },
  {
    at: 'vfio_noiommu_ioctl',
    sees: [],
    say: () =>
      'The container is of no-IOMMU groups, whose driver maps nothing (no MAP_DMA, UNMAP_DMA or GET_INFO): the device sees physical addresses, which the program must find itself (/proc/self/pagemap) and keep in place. For MAP_DMA the device needs a group behind an IOMMU.',
  },
  {
    at: 'iommu_group_claim_dma_owner',
    sees: ['hostDriven'],
    say: (d) =>
      `Group ${d.text('group')} is not viable: a driver of the host has ${d.text('hostDriven')}. Bind every device of the group to vfio-pci, or to no driver.`,
  },
  {
    at: 'vfio_container_attach_group',
    sees: ['noIommu'],
    say: () => 'Groups with and without an IOMMU cannot be in one container.',
  },
  { at: 'ioctl', sees: ['group'], say: () => 'The group is not open.' },
  { at: 'ioctl', sees: ['container'], say: () => 'No container is open.' },
  ...externalChecks,
  ...memlockChecks,
  ...syscallChecks,
];

function lastByte(lastPn: number): string {
  return hex(byteAddress(lastPn + 1) - 1n);
}

/** What to do about a range that ends above all that the IOMMU reaches. */
function beyondWidth(lastPn: number, usableLastPn: number): string {
  const [needs, has] = [lastPn, usableLastPn].map(
    (last) => (byteAddress(last + 1) - 1n).toString(2).length,
  );
  if (needs <= has) return '';
  return (
    ` The range needs ${needs} address bits, the IOMMU has ${has}: give the guest ${has} physical address bits ` +
    `(QEMU: -cpu host,host-phys-bits-limit=${has}), so that its memory and BARs stay below; where only a BAR ` +
    'lies above, all that is lost is peer-to-peer DMA to it.'
  );
}

/** `start-last` in pages, as bytes. */
function rangeText(range: string): string {
  const [start, last] = range.split('-').map(Number);
  return `${hex(byteAddress(start))} to ${lastByte(last)}`;
}

/**
 * The explanation of a failed check.
 *
 * @param failure the check and what it saw
 * @returns its entry, or undefined if there is none
 */
export function checkOf({ at, detail }: Failure): CheckExplanation | undefined {
  return checks.find((check) => check.at === at && check.sees.every((name) => name in detail));
}
