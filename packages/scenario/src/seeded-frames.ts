/**
 * Frames in a plain seeded order, for scenarios without a recording: memory is cut into 2 MiB
 * blocks, shuffled; huge folios take whole blocks, and small folios come in short runs out of one.
 * What is freed is not handed out again.
 */
import { isAligned, pagesOf, PMD_ORDER, PUD_ORDER, type Pfn, type Vpn } from '@pinfold/base';
import type { FrameRun, FrameSource, MemoryRange } from '@pinfold/mm';

/** Pages at the bottom of memory that belong to firmware and kernel: 16 MiB. */
const LOW_PAGES = 4096;
/** Longest run of consecutive small folios. */
const MAX_RUN = 16;

/** A {@link FrameSource} that is a function of its seed. */
export class SeededFrames implements FrameSource {
  readonly #random: () => number;
  /** First frames of the 2 MiB blocks that are left, in the order in which they will be used. */
  readonly #blocks: Pfn[];
  /** First frames of the GiBs that are kept for 1 GiB folios, until the blocks run out. */
  #gibs: Pfn[] = [];
  /** Runs of small frames of the block in use. */
  #runs: [pfn: Pfn, npage: number][] = [];

  /**
   * @param ranges the machine's memory
   * @param seed decides the order
   * @param taken first frames of 2 MiB blocks that are not to be handed out
   */
  constructor(
    ranges: readonly MemoryRange[],
    seed: number,
    taken: ReadonlySet<Pfn> = new Set<Pfn>(),
  ) {
    this.#random = mulberry32(seed);
    this.#blocks = ranges
      .flatMap(({ pfn, npage }) => this.#blocksOf(pfn, pfn + npage))
      .filter((block) => !taken.has(block));
    this.#gibs = this.#gibs.filter(
      (gib) => ![...taken].some((block) => block >= gib && block < gib + pagesOf(PUD_ORDER)),
    );
    shuffle(this.#blocks, this.#random);
  }

  framesFor(_vpn: Vpn, npage: number, order: number, out: FrameRun): void {
    out.order = order;
    out.npage = pagesOf(order);
    if (order >= PMD_ORDER) out.pfn = (order === PUD_ORDER ? this.#gibs : this.#blocks).pop() ?? -1;
    else if (order === 0) this.#smallRun(npage, out);
    else out.pfn = this.#aligned(order);
  }

  #smallRun(npage: number, out: FrameRun): void {
    const run = this.#run();
    if (run === null) {
      out.pfn = -1;
      return;
    }
    out.pfn = run[0];
    out.npage = Math.min(npage, run[1]);
    run[0] += out.npage;
    run[1] -= out.npage;
  }

  /** A folio of 2 to 256 pages: from a block of its own, whose rest small folios get. */
  #aligned(order: number): Pfn {
    const block = this.#blocks.pop();
    if (block === undefined) return -1;
    this.#runs.push([block + pagesOf(order), pagesOf(PMD_ORDER) - pagesOf(order)]);
    return block;
  }

  #run(): [pfn: Pfn, npage: number] | null {
    for (;;) {
      const last = this.#runs.at(-1);
      if (last === undefined) {
        const block = this.#blocks.pop() ?? this.#blockOfGib();
        if (block === undefined) return null;
        this.#runs = this.#shortRuns(block);
      } else if (last[1] === 0) this.#runs.pop();
      else return last;
    }
  }

  #shortRuns(block: Pfn): [pfn: Pfn, npage: number][] {
    const runs: [pfn: Pfn, npage: number][] = [];
    for (let done = 0; done < pagesOf(PMD_ORDER);) {
      const left = pagesOf(PMD_ORDER) - done;
      const npage = Math.min(left, 1 + Math.floor(this.#random() * MAX_RUN));
      runs.push([block + done, npage]);
      done += npage;
    }
    shuffle(runs, this.#random);
    return runs;
  }

  #blocksOf(from: Pfn, end: Pfn): Pfn[] {
    const first = Math.max(from, LOW_PAGES);
    const blocks: Pfn[] = [];
    const step = pagesOf(PMD_ORDER);
    for (let pfn = Math.ceil(first / step) * step; pfn + step <= end;) {
      const gib = isAligned(pfn, PUD_ORDER) && pfn + 2 * pagesOf(PUD_ORDER) > end;
      if (gib && pfn + pagesOf(PUD_ORDER) <= end) {
        this.#gibs.push(pfn);
        pfn += pagesOf(PUD_ORDER);
      } else {
        blocks.push(pfn);
        pfn += step;
      }
    }
    return blocks;
  }

  #blockOfGib(): Pfn | undefined {
    const gib = this.#gibs.pop();
    if (gib === undefined) return undefined;
    const step = pagesOf(PMD_ORDER);
    for (let pfn = gib; pfn < gib + pagesOf(PUD_ORDER); pfn += step) this.#blocks.push(pfn);
    return this.#blocks.pop();
  }
}

/**
 * Puts a list into a random order.
 *
 * @param list the list, changed in place
 * @param random numbers from 0 to below 1
 */
export function shuffle<T>(list: T[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
}

/**
 * Random numbers that are a function of a seed (Mulberry32).
 *
 * @param seed any number
 * @returns a function that gives numbers from 0 to below 1
 */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
