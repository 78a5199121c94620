/** What lies at every page of a random address space: kept by runs, as a 1 GiB folio is one. */
import type { Prot } from '@pinfold/mm';

/** A page of the address space, as whoever placed it knows it. */
export interface WorldPage {
  /** Page frame. */
  readonly pfn: number;
  /** Order of its folio; 0 for device memory. */
  readonly order: number;
  /** Whether the process may read and write it. */
  readonly prot: Prot;
  /** Device memory: the first virtual page after the leaf that maps it. */
  readonly leafEnd?: number;
  /** Device memory whose frames are ordinary memory: refused. */
  readonly ordinary?: boolean;
}

/** Consecutive pages with consecutive frames; `pfn` is the first one's. */
interface Run extends WorldPage {
  readonly vpn: number;
  readonly npage: number;
}

/** Every page that is mapped. */
export class WorldPages {
  /** In the order of their pages. */
  readonly #runs: Run[] = [];
  /** The run that held the last page asked for. */
  #last = 0;
  readonly #section: number;

  /** @param section pages of a memory section */
  constructor(section: number) {
    this.#section = section;
  }

  /**
   * Adds pages after all others.
   *
   * @param vpn first virtual page
   * @param npage number of pages
   * @param first what lies at the first; the others have the frames after it
   */
  add(vpn: number, npage: number, first: WorldPage): void {
    if (npage > 0) this.#runs.push({ ...first, vpn, npage });
  }

  /** What lies at a page; undefined for none. */
  get(vpn: number): WorldPage | undefined {
    if (!this.#holds(this.#last, vpn)) {
      const at = this.#runs.findIndex((run) => vpn < run.vpn + run.npage);
      if (at === -1 || !this.#holds(at, vpn)) return undefined;
      this.#last = at;
    }
    const run = this.#runs[this.#last];
    return { ...run, pfn: run.pfn + vpn - run.vpn };
  }

  #holds(index: number, vpn: number): boolean {
    const run = this.#runs.at(index);
    return run !== undefined && run.vpn <= vpn && vpn < run.vpn + run.npage;
  }

  /**
   * Whether somewhere a run of memory goes from one folio to the next over a section border. Under
   * classic sparsemem a range unpin by `page + i` leaves the memmap there.
   */
  runOverSections(): boolean {
    const section = this.#section;
    const memory = this.#runs.filter(({ leafEnd }) => leafEnd === undefined);
    const isBorder = (pfn: number, order: number): boolean =>
      pfn % section === 0 && pfn % 2 ** order === 0;
    return memory.some(({ vpn, npage, pfn, order }, index) => {
      const next = memory.at(index + 1);
      const goesOn = next?.vpn === vpn + npage && next.pfn === pfn + npage;
      if (goesOn && isBorder(next.pfn, order)) return true;
      for (let at = (Math.floor(pfn / section) + 1) * section; at < pfn + npage; at += section) {
        if (isBorder(at, order)) return true;
      }
      return false;
    });
  }
}
