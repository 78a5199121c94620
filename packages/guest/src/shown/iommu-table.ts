/**
 * The IOMMU page table of a domain in the shape of the recordings, step by step.
 *
 * @source recordings README, "IOMMU page table"
 */
import { pagesOf, type Span } from '@pinfold/base';
import { LeafRun, type IommuDomain } from '@pinfold/iommu';
import {
  hexPages,
  type IommuRun,
  type IommuTable,
  type LeafCounts,
  Runs,
  type RunKind,
} from '@pinfold/scenario';

/** Runs that are listed; `runs_total` counts all. */
export const MAX_RUNS = 8192;

const PAGE_SHIFT = 12;
const UNITS = 'KMGTP';
const PERM_NAMES = ['r', 'r', 'w', 'rw'] as const;

const NO_LEAVES: LeafCounts = { '4K': 0, '2M': 0, '1G': 0 };

/** A page table that is not there: before VFIO_SET_IOMMU. */
const NO_TABLE: IommuTable = {
  present: 0,
  pt_pages: 0,
  leaf: NO_LEAVES,
  runs_total: 0,
  runs: [],
};

/** The entry of a device that is blocked (recordings of AMD and SMMUv3, v07-nesting). */
const BLOCKED: IommuTable = { ...NO_TABLE, present: 1 };

/** Leaves of one size that continue each other. */
interface Leaves extends Span {
  readonly pfn: number;
  readonly order: number;
  readonly prot: number;
}

const leafRuns: RunKind<Leaves> = {
  part: ({ at, pfn, order, prot }, from, npage) => ({
    ...{ at: from, npage, pfn: pfn + (from - at), order, prot },
  }),
  goesOn: (run, { at, pfn, order, prot }) =>
    run.order === order && run.prot === prot && run.pfn + (at - run.at) === pfn,
};

const EMPTY = new Runs(leafRuns);

/** The page table that a device translates by, as it was seen last. */
export class SeenTable {
  #domain: IommuDomain | null = null;
  #runs = EMPTY;
  #leaf = NO_LEAVES;
  #shown: IommuTable | null = null;
  readonly #next = new LeafRun();

  /** Shows the next table whatever it is. */
  forget(): void {
    this.#shown = null;
  }

  /**
   * Looks at what was mapped and unmapped since the last look.
   *
   * @param domain the domain that the device is in now; null without one
   * @param kind kind of the IOMMU: without a domain VT-d has no entry for the device, AMD and SMMUv3
   *   have one that blocks it
   * @returns the table; undefined if it is as it was
   */
  look(domain: IommuDomain | null, kind: string): IommuTable | undefined {
    const runs = this.#runs;
    const changed = domain !== this.#domain;
    this.#domain = domain;
    if (!domain) {
      this.#runs = EMPTY;
      this.#leaf = NO_LEAVES;
    } else if (changed) this.#read(domain, 0, Infinity);
    else if (!domain.written.isEmpty) {
      const { first, end } = domain.written;
      this.#read(domain, this.#startOfLeaf(first), this.#endOfLeaf(end));
    }
    domain?.written.clear();
    const blocked = kind === 'intel-vtd' ? NO_TABLE : BLOCKED;
    const table = domain ? tableOf(domain, this.#leaf, this.#runs) : blocked;
    const same =
      runs === this.#runs &&
      this.#shown?.present === table.present &&
      this.#shown.pt_pages === table.pt_pages;
    if (same) return undefined;
    this.#shown = table;
    return table;
  }

  /** Reads the leaves of a range anew. */
  #read(domain: IommuDomain, from: number, to: number): void {
    const leaves: Leaves[] = [];
    const next = this.#next;
    for (let page = from; page < to && domain.nextLeaves(page, next, to);) {
      const { iovaPn, pfn, order, prot } = next;
      if (iovaPn >= to) break;
      const pages = pagesOf(order);
      const count = Math.min(next.leaves, Math.ceil((to - iovaPn) / pages));
      leaves.push({ at: iovaPn, npage: count * pages, pfn, order, prot });
      page = iovaPn + count * pages;
    }
    const { runs, old, fresh } = this.#runs.replace(from, to, leaves);
    this.#runs = runs;
    const leaf = new Map(Object.entries(this.#leaf));
    const count = ({ npage, order }: Leaves, times: 1 | -1): void => {
      const name = leafName(order);
      leaf.set(name, (leaf.get(name) ?? 0) + times * (npage / pagesOf(order)));
    };
    for (const run of old) count(run, -1);
    for (const run of fresh) count(run, 1);
    const isShown = ([name, leaves]: [string, number]): boolean => leaves > 0 || name in NO_LEAVES;
    this.#leaf = Object.fromEntries([...leaf].filter(isShown));
  }

  /** An unmap can remove the whole of a leaf of which it was asked for a part. */
  #startOfLeaf(page: number): number {
    const run = this.#runs.at(page);
    return run ? page - ((page - run.at) % pagesOf(run.order)) : page;
  }

  #endOfLeaf(page: number): number {
    const run = this.#runs.at(page - 1);
    const over = run ? (page - run.at) % pagesOf(run.order) : 0;
    return run && over > 0 ? page - over + pagesOf(run.order) : page;
  }
}

/** Name of a leaf's size: 4K, 8K, up to 2P. */
function leafName(order: number): string {
  const unit = Math.floor((order + PAGE_SHIFT - 10) / 10);
  return `${2 ** (order + PAGE_SHIFT - 10 - 10 * unit)}${UNITS[unit]}`;
}

/** The table of a version of the runs, which are listed when somebody reads them. */
function tableOf({ table }: IommuDomain, leaf: LeafCounts, runs: Runs<Leaves>): IommuTable {
  return {
    ...{ present: 1, pt_pages: table.tablePages, leaf, runs_total: runs.size },
    get runs(): IommuRun[] {
      const listed: IommuRun[] = [];
      for (const run of runs) {
        if (listed.length === MAX_RUNS) break;
        listed.push(asRun(run));
      }
      return listed;
    },
  };
}

function asRun({ at, npage, pfn, order, prot }: Leaves): IommuRun {
  return [hexPages(at), hexPages(pfn), hexPages(npage), leafName(order), PERM_NAMES[prot]];
}
