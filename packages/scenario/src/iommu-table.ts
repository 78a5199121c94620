/**
 * The IOMMU page table of a domain in the shape of the recordings.
 *
 * @source recordings README, "IOMMU page table"
 */
import type { IoLeaf, IommuDomain } from '@pinfold/iommu';
import { hexPages } from './hex.ts';
import type { IommuRun, IommuTable } from './observation.ts';

/** Runs that are listed; `runs_total` counts all. */
export const MAX_RUNS = 8192;

const PAGE_SHIFT = 12;
const UNITS = 'KMGTP';
const PERM_NAMES = ['r', 'r', 'w', 'rw'] as const;

/** A page table that is not there: before VFIO_SET_IOMMU. */
export const NO_TABLE: IommuTable = {
  present: 0,
  pt_pages: 0,
  leaf: { '4K': 0, '2M': 0, '1G': 0 },
  runs_total: 0,
  runs: [],
};

/**
 * Reads the page table of a domain.
 *
 * @param domain the domain
 * @returns table pages, leaves per size, and runs of leaves that continue each other
 */
export function iommuTableOf(domain: IommuDomain): IommuTable {
  const leaf: Record<string, number> = { ...NO_TABLE.leaf };
  const runs: IommuRun[] = [];
  let total = 0;
  const flush = (run: Run | null): void => {
    if (run === null) return;
    total++;
    if (runs.length < MAX_RUNS) runs.push(asRun(run));
  };
  let open: Run | null = null;
  for (const next of domain.leaves()) {
    leaf[leafName(next.order)] = (leaf[leafName(next.order)] ?? 0) + 1;
    if (open && continues(open, next)) open.npage += 2 ** next.order;
    else {
      flush(open);
      open = { first: next, npage: 2 ** next.order };
    }
  }
  flush(open);
  return { present: 1, pt_pages: domain.table.tablePages, leaf, runs_total: total, runs };
}

/** Name of a leaf's size: 4K, 8K, up to 2P. */
function leafName(order: number): string {
  const unit = Math.floor((order + PAGE_SHIFT - 10) / 10);
  return `${2 ** (order + PAGE_SHIFT - 10 - 10 * unit)}${UNITS[unit]}`;
}

interface Run {
  readonly first: IoLeaf;
  npage: number;
}

function continues({ first, npage }: Run, next: IoLeaf): boolean {
  return (
    first.order === next.order &&
    first.prot === next.prot &&
    first.iovaPn + npage === next.iovaPn &&
    first.pfn + npage === next.pfn
  );
}

function asRun({ first, npage }: Run): IommuRun {
  const { iovaPn, pfn, order, prot } = first;
  return [hexPages(iovaPn), hexPages(pfn), hexPages(npage), leafName(order), PERM_NAMES[prot]];
}
