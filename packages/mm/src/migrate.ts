/**
 * Page migration: a folio that is to be pinned for long moves out of ZONE_MOVABLE or a CMA area.
 *
 * A folio moves only if every reference to it is that of a mapping or of the page cache; a pin, or
 * a mapping that cannot be found, keeps it where it is.
 *
 * @source mm/migrate.c migrate_pages, migrate_folio_unmap, folio_migrate_mapping, 6.16;
 * reference mm.md §5.1
 */
import { Errno, offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { allocCopyOfFolio } from './fault-folio.ts';
import { folioPutRefs, folioRefAdd } from './folio.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { PTE } from './page-table.ts';
import type { Vma } from './vma.ts';

/** A leaf that maps a part of the folio. */
interface Mapping {
  readonly mm: MmStruct;
  readonly vpn: Vpn;
  readonly pfn: Pfn;
  readonly level: number;
  readonly bits: number;
}

/**
 * Moves the folio of a page to memory that may be pinned for long.
 *
 * @param mm address space that maps it
 * @param vpn virtual page at which it is mapped there
 * @returns 0; -EBUSY when it has a reference that is no mapping; -ENOMEM without a free folio of its
 *   order
 * @source mm/gup.c migrate_longterm_unpinnable_folios, mm/migrate.c migrate_pages, 6.16
 */
export function migrateForLongterm(mm: MmStruct, vpn: Vpn): number {
  const { memmap } = mm.memory;
  const page = mm.pageTable.pfnAt(vpn);
  const vma = mm.vmas.lookup(vpn);
  if (page < 0 || vma === null) return -Errno.EBUSY;
  const entry = memmap.headEntryOf(page);
  const order = memmap.order[entry];
  const flags = memmap.flags[entry];
  const first = vpn - offsetIn(page, order);
  const head = page - offsetIn(page, order);
  const mappings = mappingsOf(mm, vma, first, head, pagesOf(order));
  const file = vma.ops instanceof MappedFile && !(flags & PG.anon) ? vma.ops : null;
  if (memmap.refcount[entry] !== mappings.length + (file ? 1 : 0)) return -Errno.EBUSY;
  const target = allocUnmovable(mm, first, order, flags & (PG.anon | PG.hugetlb | PG.swapbacked));
  if (target < 0) return -Errno.ENOMEM;
  mm.memory.contents?.copy(head, target, pagesOf(order));
  if (!file) mm.memory.memmap.refcount[memmap.headEntryOf(target)] = 0;
  file?.move(head, target);
  folioRefAdd(memmap, target, mappings.length);
  for (const { mm: owner, vpn: at, pfn, level, bits } of mappings) {
    owner.pageTable.setEntry(at, target + (pfn - head), level, bits);
  }
  folioPutRefs(memmap, head, mappings.length + (file ? 1 : 0));
  return 0;
}

/** A folio outside of movable memory, whoever asks. */
function allocUnmovable(mm: MmStruct, vpn: Vpn, order: number, flags: number): Pfn {
  const { memory } = mm;
  const scope = memory.memallocPin;
  memory.memallocPin = true;
  const pfn = allocCopyOfFolio(mm, vpn, order, flags);
  memory.memallocPin = scope;
  return pfn;
}

/**
 * The leaves that map a folio (rmap_walk): anonymous memory lies at the same address in every
 * process that shares it by fork; a file wherever a VMA maps its pages.
 */
function mappingsOf(mm: MmStruct, vma: Vma, first: Vpn, head: Pfn, npage: number): Mapping[] {
  const pgoff = vma.pgoff + (first - vma.start);
  const mappings: Mapping[] = [];
  for (const owner of mm.memory.addressSpaces) {
    const places = vma.ops?.anonymous
      ? [first]
      : [...owner.vmas]
          .filter(({ ops }) => ops === vma.ops)
          .map((other) => other.start + (pgoff - other.pgoff));
    for (const place of new Set(places)) {
      owner.pageTable.forEachLeaf(place, place + npage, (vpn, pfn, level, bits) => {
        const inFolio = pfn >= head && pfn < head + npage;
        if (inFolio && (bits & PTE.special) === 0) {
          mappings.push({ mm: owner, vpn, pfn, level, bits });
        }
      });
    }
  }
  return mappings;
}
