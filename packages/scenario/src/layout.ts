/**
 * The physical layout of a region in the shape of the recordings.
 *
 * @source recordings README, "Layout extents"
 */
import type { Vpn } from '@pinfold/base';
import { PG, PTE, type MmStruct } from '@pinfold/mm';
import type { LayoutExtent } from './observation.ts';

/** A page or leaf that is present, before it joins an extent. */
interface Piece {
  off: number;
  pfn: number;
  n: number;
  order: number;
  flags: string;
}

/**
 * Reads where the pages of a range lie. Pages of a pure pfn mapping have no place in a layout.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns extents that are as long as frames, order and flags allow
 */
export function layoutOf(mm: MmStruct, vpn: Vpn, npage: number): LayoutExtent[] {
  const extents: LayoutExtent[] = [];
  let open: Piece | null = null;
  const close = (): void => {
    if (open) extents.push([open.off, open.pfn, open.n, open.order, open.flags]);
  };
  const end = vpn + npage;
  mm.pageTable.forEachLeaf(vpn, end, (at, pfn, level, bits) => {
    const pages = 2 ** (9 * level);
    const from = Math.max(at, vpn);
    const n = Math.min(at + pages, end) - from;
    const piece = describe(mm, from - vpn, pfn + (from - at), n, bits);
    if (piece === null) return;
    if (open && joins(open, piece)) open.n += n;
    else {
      close();
      open = piece;
    }
  });
  close();
  return extents;
}

function describe(mm: MmStruct, off: number, pfn: number, n: number, bits: number): Piece | null {
  const { memmap, zeroPfn, hugeZeroPfn } = mm.memory;
  if (bits & PTE.special) {
    if (pfn === zeroPfn) return { off, pfn, n, order: 0, flags: 'z' };
    const huge = pfn >= hugeZeroPfn && pfn < hugeZeroPfn + 512;
    return huge ? { off, pfn, n, order: 9, flags: 'ztf' } : null;
  }
  const head = memmap.headEntryOf(pfn);
  const order = memmap.order[head];
  const kind = memmap.flags[head];
  const anon = (kind & PG.anon) !== 0;
  const letters = [
    kind & PG.hugetlb ? 'h' : '',
    anon ? 'a' : '',
    order > 0 && !(kind & PG.hugetlb) ? 't' : '',
    anon ? '' : 'f',
    bits & PTE.anonExclusive ? 'x' : '',
  ];
  return { off, pfn, n, order, flags: letters.join('') };
}

function joins(open: Piece, next: Piece): boolean {
  const pfn = open.flags === 'z' ? open.pfn : open.pfn + open.n;
  return (
    open.off + open.n === next.off &&
    pfn === next.pfn &&
    open.order === next.order &&
    open.flags === next.flags
  );
}
