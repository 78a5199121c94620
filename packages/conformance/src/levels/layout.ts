/**
 * Compares physical layouts page by page, however their extents are cut: frame, folio order, and
 * whether the page is anonymous, of a file, of hugetlb, or a zero page.
 *
 * @source recordings README, "Layout extents"
 */
import type { LayoutExtent } from '@pinfold/scenario';
import { MAX_DIFFERENCES, type Difference } from './differences.ts';

/** Pages that continue each other in virtual and physical addresses. */
interface Run {
  readonly off: number;
  readonly pfn: number;
  readonly n: number;
  /** Frames from one page to the next: 0 for the small zero page. */
  readonly stride: 0 | 1;
  readonly order: number;
  readonly kind: string;
}

/** What is compared of the flags; a zero page is that alone. */
function kindOf(flags: string): string {
  if (flags.includes('z')) return 'z';
  return ['a', 'f', 'h'].filter((letter) => flags.includes(letter)).join('');
}

function runOf([off, pfn, n, order, flags]: LayoutExtent): Run {
  const kind = kindOf(flags);
  return { off, pfn, n, stride: kind === 'z' && order === 0 ? 0 : 1, order, kind };
}

/** The part of a run from a page on. */
function from(run: Run, off: number): Run {
  const skipped = off - run.off;
  return { ...run, off, pfn: run.pfn + skipped * run.stride, n: run.n - skipped };
}

/** A page that the kernel had just handed out may show no kind yet: it is then not compared. */
function samePage(recorded: Run, model: Run): boolean {
  const { pfn, order, kind } = recorded;
  return pfn === model.pfn && order === model.order && (kind === '' || kind === model.kind);
}

function describe(run: Run | undefined): string | undefined {
  return run && `pfn ${run.pfn} order ${run.order} ${run.kind}`;
}

/**
 * Compares the layouts of a region.
 *
 * @param region its name
 * @param recorded the kernel's extents, in order of their offsets
 * @param model the model's extents, in order of their offsets
 * @returns one difference per range of pages that differs, with its first page
 */
export function compareRegion(
  region: string,
  recorded: readonly LayoutExtent[],
  model: readonly LayoutExtent[],
): Difference[] {
  const differences: Difference[] = [];
  const kernel = recorded.map(runOf).reverse();
  const other = model.map(runOf).reverse();
  while (differences.length < MAX_DIFFERENCES) {
    const a = kernel.at(-1);
    const b = other.at(-1);
    if (!a && !b) break;
    const [off, n] = nextRange(a, b);
    const here = (run: Run | undefined): Run | undefined => (run?.off === off ? run : undefined);
    const [left, right] = [here(a), here(b)];
    if (!left || !right || !samePage(left, right)) {
      const path = `layout.${region}[${n === 1 ? off : `${off}..${off + n - 1}`}]`;
      differences.push({ path, recorded: describe(left), model: describe(right) });
    }
    drop(kernel, off + n);
    drop(other, off + n);
  }
  return differences;
}

/** The longest range from the first page on in which neither side begins or ends a run. */
function nextRange(a: Run | undefined, b: Run | undefined): [off: number, n: number] {
  const off = Math.min(a?.off ?? Infinity, b?.off ?? Infinity);
  const ends = [a, b].flatMap((run) => (run ? [run.off > off ? run.off : run.off + run.n] : []));
  return [off, Math.min(...ends) - off];
}

/** Takes the pages before an offset off the last run. */
function drop(runs: Run[], off: number): void {
  const run = runs.at(-1);
  if (!run || run.off >= off) return;
  runs.pop();
  if (run.off + run.n > off) runs.push(from(run, off));
}
