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

const LEAF_NAMES: Readonly<Record<number, '4K' | '2M' | '1G'>> = { 0: '4K', 9: '2M', 18: '1G' };
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
  const leaf = { '4K': 0, '2M': 0, '1G': 0 };
  const runs: IommuRun[] = [];
  let total = 0;
  const flush = (run: Run | null): void => {
    if (run === null) return;
    total++;
    if (runs.length < MAX_RUNS) runs.push(asRun(run));
  };
  let open: Run | null = null;
  for (const next of domain.leaves()) {
    leaf[LEAF_NAMES[next.order]]++;
    if (open && continues(open, next)) open.npage += 2 ** next.order;
    else {
      flush(open);
      open = { first: next, npage: 2 ** next.order };
    }
  }
  flush(open);
  return { present: 1, pt_pages: domain.table.tablePages, leaf, runs_total: total, runs };
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
  return [hexPages(iovaPn), hexPages(pfn), hexPages(npage), LEAF_NAMES[order], PERM_NAMES[prot]];
}
