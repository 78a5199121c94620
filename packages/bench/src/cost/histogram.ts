/**
 * Physically contiguous runs of memory as a histogram: how memory behind a guest lies that is neither
 * one run nor all scattered. Tracing `iommu:map` gives it.
 */
import { InputError, PAGE_SIZE, parseSize, X86_64, type Vpn } from '@pinfold/base';
import type { FrameRun, FrameSource } from '@pinfold/mm';
import type { Layout, Placement } from '../layouts.ts';

/** How many runs there are of which length. */
export type RunHistogram = readonly {
  /** Length in pages. */
  readonly npage: number;
  /** How many, at least 1. */
  readonly count: number;
}[];

/** Pages of a GiB: after each the runs begin again, so that counters grow with the size. */
const PERIOD = 2 ** 18;

/** Pages to which runs of 2 MiB and more are aligned. */
const LARGE = 512;

/**
 * Reads a histogram: lines of a length and a count, as `4K 123`, or those of a bpftrace `hist()` or
 * `lhist()` of lengths in bytes, such as `[4K, 8K)  123 |@@@ |`. Other lines are ignored if they begin
 * with `#` or `@`. Lines of faults under a heading with `addr`, as `systing-analyze query` prints the
 * table `memory_fault` of the memory recorder of systing in CSV, are folios.
 *
 * @param text the file
 * @param place its name, for messages
 * @returns the histogram, longest runs first
 * @throws {InputError} that names the line
 */
export function parseHistogram(text: string, place: string): RunHistogram {
  const lines = text.split('\n').map((line) => line.trim());
  const first = lines.find((line) => line !== '') ?? '';
  if (FAULT_COLUMN.test(first)) return histogramOfFaults(lines, place);
  const counts = new Map<number, number>();
  lines.forEach((trimmed, i) => {
    if (trimmed === '' || /^[#@]/.test(trimmed)) return;
    const found =
      /^\[(\w+)(?:, *\w+\))?\]?\s+(\d+)/.exec(trimmed) ?? /^(\w+)[\s,:]+(\d+)$/.exec(trimmed);
    const at = `${place}:${i + 1}`;
    if (!found) throw new InputError(at, "a length and a count, such as '2M 100'", `'${trimmed}'`);
    const bytes = parseSize(found[1], at);
    const count = Number(found[2]);
    const npage = Math.max(1, Math.round(bytes / PAGE_SIZE));
    if (count > 0) counts.set(npage, (counts.get(npage) ?? 0) + count);
  });
  if (counts.size === 0) throw new InputError(place, 'a length and a count per line', 'none');
  return sorted(counts);
}

function sorted(counts: ReadonlyMap<number, number>): RunHistogram {
  return [...counts].map(([npage, count]) => ({ npage, count })).sort((a, b) => b.npage - a.npage);
}

/** The heading of faults, as the table memory_fault of systing has it. */
const FAULT_COLUMN = /^(?:\w+,)*addr(?:,\w+)*$/;

/**
 * The folios behind faults, one fault each, as the memory recorder of systing writes them: how far the next
 * fault is away bounds the folio of a fault, which is aligned to its size and at most 2 MiB. That is
 * no proof of contiguity beyond a folio, and none within where a neighbour was there before.
 */
function histogramOfFaults(lines: readonly string[], place: string): RunHistogram {
  const start = lines.findIndex((line) => line !== '');
  const column = lines[start].split(',').indexOf('addr');
  const pages: number[] = [];
  for (let i = start + 1; i < lines.length; i++) {
    if (lines[i] === '') continue;
    const cell = lines[i].split(',')[column] ?? '';
    const address = /^(?:\d+|0x[\da-f]+)$/i.test(cell) ? Number(cell) : NaN;
    if (!Number.isFinite(address))
      throw new InputError(`${place}:${i + 1}`, 'an address in column addr', `'${cell}'`);
    pages.push(Math.floor(address / PAGE_SIZE));
  }
  if (pages.length === 0) throw new InputError(place, 'a line per fault', 'none');
  const faulted = [...new Set(pages)].sort((a, b) => a - b);
  const counts = new Map<number, number>();
  faulted.forEach((page, i) => {
    let npage = 1;
    const room = (faulted[i + 1] ?? page + 1) - page;
    while (npage < LARGE && 2 * npage <= room && page % (2 * npage) === 0) npage *= 2;
    counts.set(npage, (counts.get(npage) ?? 0) + 1);
  });
  return sorted(counts);
}

/** Lengths of the runs of one GiB: as in the histogram by the memory that they hold. */
function runsOfPeriod(histogram: RunHistogram): number[] {
  const total = histogram.reduce((sum, { npage, count }) => sum + npage * count, 0);
  const runs: number[] = [];
  let left = PERIOD;
  for (const { npage, count } of histogram) {
    const length = Math.min(npage, PERIOD);
    const wanted = Math.round((PERIOD * npage * count) / total / length);
    for (let n = 0; n < wanted && left >= length; n++) {
      runs.push(length);
      left -= length;
    }
  }
  if (left > 0) runs.push(left);
  return runs;
}

/**
 * A layout of 4 KiB pages whose runs are distributed as a histogram says, in every GiB alike. Runs of
 * 2 MiB and more are congruent with their addresses, so that the IOMMU maps them in 2 MiB leaves.
 *
 * @param histogram the runs
 * @param order order of the folios, which runs are whole numbers of; default that of 4 KiB
 * @returns the layout
 */
export function histogramLayout(histogram: RunHistogram, order = 0): Layout {
  const lengths = runsOfPeriod(histogram);
  const { starts, shifts, shift } = placeRuns(lengths, 2 ** order);
  return {
    tag: 'T4',
    summary: 'runs of a histogram',
    source: 'a histogram of contiguous runs, such as one of iommu:map',
    order,
    leafOrder: 0,
    place(vpn: Vpn, npage: number): Placement {
      const frames: FrameSource = {
        framesFor(at: Vpn, wanted: number, _order: number, out: FrameRun): void {
          const offset = at - vpn;
          const period = Math.floor(offset / PERIOD);
          const inPeriod = offset - period * PERIOD;
          const run = runAt(starts, inPeriod);
          out.pfn = FIRST + offset + period * shift + shifts[run];
          out.npage = Math.min(wanted, starts[run] + lengths[run] - inPeriod);
          out.order = order;
        },
      };
      const end = npage + Math.ceil(npage / PERIOD + 1) * shift;
      const sections = Math.ceil(end / X86_64.sectionPages) + 1;
      return { frames, memory: { pfn: FIRST, npage: sections * X86_64.sectionPages } };
    },
  };
}

/** First frame of memory: 4 GiB. */
const FIRST = 2 ** 20;

/** Where runs begin, and by how much their frames are shifted so that no two runs meet. */
function placeRuns(
  lengths: readonly number[],
  step: number,
): {
  starts: Int32Array;
  shifts: Int32Array;
  shift: number;
} {
  const starts = new Int32Array(lengths.length);
  const shifts = new Int32Array(lengths.length);
  let start = 0;
  let shift = 0;
  lengths.forEach((length, i) => {
    shift = length >= LARGE ? (Math.floor(shift / LARGE) + 1) * LARGE : shift + step;
    starts[i] = start;
    shifts[i] = shift;
    start += length;
  });
  return { starts, shifts, shift: (Math.floor(shift / LARGE) + 1) * LARGE };
}

/** The run that holds a page: the last that begins at or before it. */
function runAt(starts: Int32Array, page: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= page) low = middle;
    else high = middle - 1;
  }
  return low;
}
