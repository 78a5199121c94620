/**
 * The IOMMU page table of a domain in the shape of the recordings, step by step.
 *
 * @source recordings README, "IOMMU page table"
 */
import { orderName, pagesOf, type PageGeometry, type Span } from '@pinfold/base';
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
const MAX_RUNS = 8192;

const PERM_NAMES = ['r', 'r', 'w', 'rw'] as const;

/** Leaves by their order. */
type LeavesByOrder = ReadonlyMap<number, number>;
const NO_LEAVES: LeavesByOrder = new Map();

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
  readonly #geometry: PageGeometry;

  /** @param geometry page size and page-table geometry of the machine */
  constructor(geometry: PageGeometry) {
    this.#geometry = geometry;
  }

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
   * @param blocked whether a device without one is blocked by an empty table; default false
   * @returns the table; undefined if it is as it was
   */
  look(domain: IommuDomain | null, kind: string, blocked = false): IommuTable | undefined {
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
    const table = this.#tableOf(domain, kind, blocked);
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
    const leaf = new Map(this.#leaf);
    const count = ({ npage, order }: Leaves, times: 1 | -1): void => {
      leaf.set(order, (leaf.get(order) ?? 0) + times * (npage / pagesOf(order)));
    };
    for (const run of old) count(run, -1);
    for (const run of fresh) count(run, 1);
    this.#leaf = leaf;
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

  /** The table of the runs as they are now, which are listed when somebody reads them. */
  #tableOf(domain: IommuDomain | null, kind: string, blocked: boolean): IommuTable {
    const runs = this.#runs;
    return new ShownTable(
      {
        // The entry of a device that is blocked is there but on VT-d (recordings of AMD and SMMUv3,
        // v07-nesting).
        present: domain || blocked || kind !== 'intel-vtd' ? 1 : 0,
        pt_pages: domain?.table.tablePages ?? (blocked ? 1 : 0),
        leaf: this.#leafCounts(),
        runs_total: runs.size,
      },
      runs,
      this.#geometry.pageShift,
    );
  }

  /** Leaves by the names of their sizes: those of the CPU's leaves always, others if there are any. */
  #leafCounts(): LeafCounts {
    const { leafOrders, pageShift } = this.#geometry;
    const counts = new Map(leafOrders.map((order) => [order, 0]));
    for (const [order, leaves] of this.#leaf) if (leaves > 0) counts.set(order, leaves);
    return Object.fromEntries(
      Array.from(counts, ([order, leaves]) => [orderName(order, pageShift), leaves]),
    );
  }
}

/** What has changed of a page table. */
export interface ChangedRuns {
  /** First address of the range. */
  readonly from: string;
  /** The address after it. */
  readonly to: string;
  /** Its runs now; all that was there before is gone. */
  readonly runs: readonly IommuRun[];
}

/** The table of a version of the runs, which are listed when somebody reads them. */
export class ShownTable implements IommuTable {
  readonly present: number;
  readonly pt_pages: number;
  readonly leaf: LeafCounts;
  readonly runs_total: number;
  declare readonly runs: readonly IommuRun[];
  readonly #runs: Runs<Leaves>;
  readonly #pageShift: number;

  /**
   * @param table the table without its runs
   * @param runs the runs
   * @param pageShift log2 of the page size in bytes
   */
  constructor(table: Omit<IommuTable, 'runs'>, runs: Runs<Leaves>, pageShift: number) {
    this.present = table.present;
    this.pt_pages = table.pt_pages;
    this.leaf = table.leaf;
    this.runs_total = table.runs_total;
    this.#runs = runs;
    this.#pageShift = pageShift;
    Object.defineProperty(this, 'runs', { enumerable: true, get: () => listOf(runs, pageShift) });
  }

  /**
   * What a step has changed of its table.
   *
   * @param table what the step shows
   * @returns a range of addresses and its runs; undefined if all is new, or nothing of it is known
   */
  static changed(table: IommuTable): ChangedRuns | undefined {
    if (!(#runs in table)) return undefined;
    const runs = table.#runs;
    const [from, to] = runs.changed;
    if (to === Infinity) return undefined;
    const listed = listOf(runs.overlapping(from, to), table.#pageShift);
    return { from: hexPages(from), to: hexPages(to), runs: listed };
  }
}

function listOf(runs: Iterable<Leaves>, pageShift: number): IommuRun[] {
  const listed: IommuRun[] = [];
  for (const run of runs) {
    if (listed.length === MAX_RUNS) break;
    listed.push(asRun(run, pageShift));
  }
  return listed;
}

function asRun({ at, npage, pfn, order, prot }: Leaves, pageShift: number): IommuRun {
  const size = orderName(order, pageShift);
  return [hexPages(at), hexPages(pfn), hexPages(npage), size, PERM_NAMES[prot]];
}
