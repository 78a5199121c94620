/**
 * Page size and page-table geometry of a machine, as data. Whoever needs them gets them at
 * construction, so that machines of different geometries run side by side; loops over pages read
 * what they need into locals.
 *
 * @source arch/x86/include/asm/pgtable_64_types.h, arch/arm64/include/asm/pgtable-hwdef.h,
 * include/linux/mmzone.h, 6.16
 */
import { InputError } from './errors.ts';

const UNITS = 'KMGTP';
/** log2 of the bytes of the smallest unit, and of the next one's number of it. */
const UNIT_SHIFT = 10;

/** What an architecture's documents say; {@link pageGeometry} derives the rest. */
export interface PageGeometryFacts {
  /** Architecture and page size, for example `x86-64` or `arm64-16k`. */
  readonly name: string;
  /** log2 of the page size in bytes (PAGE_SHIFT). */
  readonly pageShift: number;
  /** log2 of the entries of a page-table page (PTDESC_TABLE_SHIFT): also the order of a PMD leaf. */
  readonly tableBits: number;
  /** Bits of a virtual address that the page table translates. */
  readonly addressBits: number;
  /** First page after those of a process (TASK_SIZE). */
  readonly taskPages: number;
  /** Levels whose entries may be leaves: 2 are PTE and PMD, 3 are PTE, PMD and PUD. */
  readonly leafLevels: number;
  /** Whether a PUD may map device memory (CONFIG_ARCH_SUPPORTS_PUD_PFNMAP in use). */
  readonly devicePud: boolean;
  /** Orders of huge pages made of several entries of one level (cont-PTE, cont-PMD). */
  readonly contOrders: readonly number[];
  /** log2 of the bytes of a memory section (SECTION_SIZE_BITS). */
  readonly sectionShift: number;
  /** Order of the largest block of the page allocator (MAX_PAGE_ORDER). */
  readonly maxPageOrder: number;
}

/** Page size and page-table geometry of a machine. */
export interface PageGeometry extends PageGeometryFacts {
  /** Page size in bytes. */
  readonly pageSize: number;
  /** Entries of a page-table page. */
  readonly tableEntries: number;
  /** Levels of the page table. Level 0 has the PTEs, the last one is the top. */
  readonly levels: number;
  /** Virtual pages under the page table. */
  readonly virtualPages: number;
  /** Order of a PMD leaf. */
  readonly pmdOrder: number;
  /** Order of a PUD entry, whether or not it may be a leaf. */
  readonly pudOrder: number;
  /** Orders of the leaves, by level: PTE, PMD and, where there is one, PUD. */
  readonly leafOrders: readonly number[];
  /** Orders of the leaves above a page, largest first. */
  readonly hugeOrders: readonly number[];
  /** Orders of the huge pages of hugetlbfs, smallest first: leaves, and several entries of a level. */
  readonly hugetlbOrders: readonly number[];
  /** log2 of the pages of a memory section. */
  readonly sectionOrder: number;
  /** Pages of a memory section. */
  readonly sectionPages: number;
}

/** Most levels that a page table may have. */
const MAX_LEVELS = 5;

/**
 * Derives what follows from an architecture's facts.
 *
 * @param facts the facts
 * @returns the geometry
 * @throws {InputError} for a page table of more than five levels or less than two, and for sections
 *   that are smaller than a PMD leaf
 */
export function pageGeometry(facts: PageGeometryFacts): PageGeometry {
  const { name, pageShift, tableBits, addressBits, leafLevels, contOrders, sectionShift } = facts;
  const levels = Math.ceil((addressBits - pageShift) / tableBits);
  const sectionOrder = sectionShift - pageShift;
  if (levels < 2 || levels > MAX_LEVELS)
    throw new InputError(`geometry ${name}`, 'two to five levels of tables', `${levels}`);
  if (sectionOrder < tableBits)
    throw new InputError(
      `geometry ${name}`,
      'sections of at least a PMD leaf',
      `2^${sectionShift}`,
    );
  const leafOrders = Array.from({ length: leafLevels }, (_, level) => level * tableBits);
  const hugeOrders = leafOrders.slice(1).reverse();
  return {
    ...facts,
    pageSize: 2 ** pageShift,
    tableEntries: 2 ** tableBits,
    levels,
    virtualPages: 2 ** (addressBits - pageShift),
    pmdOrder: tableBits,
    pudOrder: 2 * tableBits,
    leafOrders,
    hugeOrders,
    hugetlbOrders: [...contOrders, ...hugeOrders].sort((a, b) => a - b),
    sectionOrder,
    sectionPages: 2 ** sectionOrder,
  };
}

/** x86-64: pages of 4 KiB, four levels of 512 entries, leaves of 2 MiB and 1 GiB. */
export const X86_64: PageGeometry = pageGeometry({
  name: 'x86-64',
  pageShift: 12,
  tableBits: 9,
  addressBits: 48,
  // The upper half of the addresses is the kernel's, and the last page below it is nobody's.
  taskPages: 2 ** 35 - 1,
  leafLevels: 3,
  devicePud: true,
  contOrders: [],
  sectionShift: 27,
  maxPageOrder: 10,
});

/** arm64 with pages of 4 KiB: leaves of 2 MiB and 1 GiB; hugetlb of 64 KiB and 32 MiB too. */
export const ARM64_4K: PageGeometry = pageGeometry({
  name: 'arm64-4k',
  pageShift: 12,
  tableBits: 9,
  addressBits: 48,
  taskPages: 2 ** 36,
  leafLevels: 3,
  devicePud: false,
  contOrders: [4, 13],
  sectionShift: 27,
  maxPageOrder: 10,
});

/** arm64 with pages of 16 KiB: leaves of 32 MiB; hugetlb of 2 MiB and 1 GiB too. */
export const ARM64_16K: PageGeometry = pageGeometry({
  name: 'arm64-16k',
  pageShift: 14,
  tableBits: 11,
  addressBits: 48,
  taskPages: 2 ** 34,
  leafLevels: 2,
  devicePud: false,
  contOrders: [7, 16],
  sectionShift: 27,
  maxPageOrder: 11,
});

/** arm64 with pages of 64 KiB: leaves of 512 MiB; hugetlb of 2 MiB and 16 GiB too. */
export const ARM64_64K: PageGeometry = pageGeometry({
  name: 'arm64-64k',
  pageShift: 16,
  tableBits: 13,
  addressBits: 48,
  taskPages: 2 ** 32,
  leafLevels: 2,
  devicePud: false,
  contOrders: [5, 18],
  sectionShift: 29,
  maxPageOrder: 13,
});

/** The geometries that a machine may be described with, by name. */
export const pageGeometries: Readonly<Record<string, PageGeometry>> = Object.fromEntries(
  [X86_64, ARM64_4K, ARM64_16K, ARM64_64K].map((geometry) => [geometry.name, geometry]),
);

/**
 * Name of the size of a folio or leaf.
 *
 * @param order its order in pages
 * @param pageShift log2 of the page size in bytes
 * @returns for example `4K`, `64K`, `2M`, `512M`, `1G`
 */
export function orderName(order: number, pageShift: number): string {
  const shift = order + pageShift - UNIT_SHIFT;
  const unit = Math.min(UNITS.length - 1, Math.floor(shift / UNIT_SHIFT));
  return `${2 ** (shift - UNIT_SHIFT * unit)}${UNITS[unit]}`;
}

/**
 * The order of a folio or leaf of a size.
 *
 * @param name its size as {@link orderName} writes it
 * @param pageShift log2 of the page size in bytes
 * @param place where the name stands, for messages
 * @returns the order in pages
 * @throws {InputError} when it is no power of two, or less than a page
 */
export function orderOfName(name: string, pageShift: number, place: string): number {
  const match = /^(\d{1,4})([KMGTP])$/.exec(name);
  const unit = match ? UNITS.indexOf(match[2]) : 0;
  const order = Math.log2(Number(match?.[1])) + UNIT_SHIFT * (unit + 1) - pageShift;
  if (Number.isInteger(order) && order >= 0) return order;
  const expected = `a power of two from ${orderName(0, pageShift)} on, such as 64K or 2M`;
  throw new InputError(place, expected, `'${name}'`);
}
