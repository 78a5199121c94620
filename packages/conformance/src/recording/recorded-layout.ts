/**
 * Recorded layouts, put right where the recorder could not see whole folios.
 *
 * The recorder reads the flags of every page, one after the other. A page that the kernel has just handed
 * out may show none yet, neither kind nor order, while others of its folio do: then it is what they are. So
 * is a page that was read as a small one before the kernel had put the folio together: no other page can
 * lie among the frames of a large folio.
 *
 * @source recordings README, "Layout extents"
 */
import { pagesOf } from '@pinfold/base';
import type { LayoutExtent } from '@pinfold/scenario';
import type { RecordedStep } from './recording.ts';

/**
 * A step whose layout says the same of all pages of a folio.
 *
 * @param step the step as recorded
 * @returns the step; the same one if nothing had to be put right
 */
export function withWholeFolios(step: RecordedStep): RecordedStep {
  const { layout } = step;
  const isTorn = (_: LayoutExtent, at: number, all: readonly LayoutExtent[]): boolean =>
    folioAround(all, at) !== undefined;
  if (!layout || !Object.values(layout).some((extents) => extents.some(isTorn))) return step;
  const whole = Object.entries(layout).map(([name, extents]) => [name, putRight(extents)] as const);
  return { ...step, layout: Object.fromEntries(whole) };
}

function isUnknown([, , , , flags]: LayoutExtent): boolean {
  return !/[afhz]/.test(flags);
}

function putRight(extents: readonly LayoutExtent[]): LayoutExtent[] {
  return extents.map((extent, at) => {
    const folio = folioAround(extents, at);
    if (!folio) return extent;
    const [off, pfn, n, , flags] = extent;
    if (isUnknown(extent)) return [off, pfn, n, folio[3], folio[4]];
    const thp = folio[4].includes('t') && !flags.includes('t') ? 't' : '';
    return [off, pfn, n, folio[3], thp + flags];
  });
}

/** The extent next to one that shows more of the folio in which both lie; undefined if none does. */
function folioAround(extents: readonly LayoutExtent[], at: number): LayoutExtent | undefined {
  const extent = extents[at];
  const showsMore = (other: LayoutExtent | undefined): boolean =>
    other !== undefined &&
    !isUnknown(other) &&
    (other[3] > extent[3] || isUnknown(extent)) &&
    areOneFolio(extent, other);
  const [before, after] = [at > 0 ? extents[at - 1] : undefined, extents.at(at + 1)];
  return showsMore(after) ? after : showsMore(before) ? before : undefined;
}

/** Whether pages lie in the folio of the end of another extent that is next to them. */
function areOneFolio(torn: LayoutExtent, known: LayoutExtent): boolean {
  const [off, pfn, n] = torn;
  const [knownOff, knownPfn, knownN, order] = known;
  if (knownPfn - pfn !== knownOff - off) return false;
  const pages = pagesOf(order);
  const nearest = knownPfn > pfn ? knownPfn : knownPfn + knownN - 1;
  const head = nearest - (nearest % pages);
  return pfn >= head && pfn + n <= head + pages;
}
