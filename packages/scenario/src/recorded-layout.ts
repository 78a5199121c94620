/**
 * Recorded layouts, put right where the recorder could not see whole folios.
 *
 * The recorder reads the flags of every page. A page that the kernel has just handed out may show none
 * yet, neither kind nor order, while others of its folio do: then it is what they are.
 *
 * @source recordings README, "Layout extents"
 */
import { pagesOf } from '@pinfold/base';
import type { LayoutExtent } from './observation.ts';
import type { RecordedStep } from './recording.ts';

/**
 * A step whose layout says the same of all pages of a folio.
 *
 * @param step the step as recorded
 * @returns the step; the same one if nothing had to be put right
 */
export function withWholeFolios(step: RecordedStep): RecordedStep {
  const { layout } = step;
  if (!layout || !Object.values(layout).some((extents) => extents.some(isUnknown))) return step;
  const whole = Object.entries(layout).map(([name, extents]) => [name, putRight(extents)] as const);
  return { ...step, layout: Object.fromEntries(whole) };
}

function isUnknown([, , , , flags]: LayoutExtent): boolean {
  return !/[afhz]/.test(flags);
}

function putRight(extents: readonly LayoutExtent[]): LayoutExtent[] {
  return extents.map((extent, at) => {
    if (!isUnknown(extent)) return extent;
    const folio = [extents.at(at + 1), at > 0 ? extents[at - 1] : undefined].find(
      (other) => other !== undefined && !isUnknown(other) && areOneFolio(extent, other),
    );
    if (!folio) return extent;
    const [off, pfn, n] = extent;
    return [off, pfn, n, folio[3], folio[4]];
  });
}

/** Whether pages lie in the folio of the end of another extent that is next to them. */
function areOneFolio(unknown: LayoutExtent, known: LayoutExtent): boolean {
  const [off, pfn, n] = unknown;
  const [knownOff, knownPfn, knownN, order] = known;
  if (knownPfn - pfn !== knownOff - off) return false;
  const pages = pagesOf(order);
  const nearest = knownPfn > pfn ? knownPfn : knownPfn + knownN - 1;
  const head = nearest - (nearest % pages);
  return pfn >= head && pfn + n <= head + pages;
}
