/** Random addresses, lengths and hardware for the property tests. */
import fc from 'fast-check';

/** Distances from a base that lie near the borders of 2 MiB and 1 GiB entries. */
export const place: fc.Arbitrary<number> = fc
  .record({
    gib: fc.nat({ max: 2 }),
    mib2: fc.oneof(fc.nat({ max: 3 }), fc.constantFrom(510, 511)),
    page: fc.oneof(fc.constant(0), fc.nat({ max: 3 }), fc.constantFrom(509, 510, 511)),
  })
  .map(({ gib, mib2, page }) => gib * 2 ** 18 + mib2 * 512 + page);

/** Lengths in pages around the leaf sizes. */
export const length: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 1, max: 6 }),
  fc.constantFrom(510, 511, 512, 513, 1024, 1025),
  fc.constantFrom(2 ** 18, 2 ** 18 + 512, 2 ** 18 + 1),
);

/** Frames are small, or lie around 2^31 (8 TiB), or above 2^32. */
const above = fc.constantFrom(2 ** 20, 2 ** 20, 2 ** 31 - 2 ** 18, 2 ** 36);

/** A map: distance from the base, frame, whether the frame is as far from an aligned one, pages. */
export const mapStep: fc.Arbitrary<MapStep> = fc.record({
  map: place,
  frame: place,
  congruent: fc.boolean(),
  above,
  npage: length,
  prot: fc.integer({ min: 1, max: 3 }),
});

/** What {@link mapStep} makes. */
export interface MapStep {
  readonly map: number;
  readonly frame: number;
  readonly congruent: boolean;
  readonly above: number;
  readonly npage: number;
  readonly prot: number;
}

/** Where a step maps: [iova page, frame, pages], with at most 1025 leaves that are all small. */
export function rangeOf(
  step: MapStep,
  origin: number,
  orders: readonly number[],
): [number, number, number] {
  const iova = origin + step.map;
  const pfn = step.above + (step.congruent ? step.map : step.frame);
  // A quarter of a million small leaves would show nothing that a thousand do not.
  const allSmall = orders.length === 1 || (pfn - iova) % 512 !== 0;
  return [iova, pfn, allSmall ? Math.min(step.npage, 1025) : step.npage];
}

/** Facts of the hardware: address width and superpage orders. */
export const hardware: fc.Arbitrary<Hardware> = fc.record({
  width: fc.constantFrom(39, 48, 57),
  superpages: fc.constantFrom([9, 18], [9, 18], [9], []),
});

/** What {@link hardware} makes. */
export interface Hardware {
  readonly width: number;
  readonly superpages: readonly number[];
}

/** A base for the addresses: low, or next to the end of the aperture (2^27, 2^36, 2^45 pages). */
export const base: fc.Arbitrary<'low' | 'end'> = fc.constantFrom('low', 'end');

/** First page of all steps. */
export function originOf({ width }: Hardware, where: 'low' | 'end'): number {
  return where === 'low' ? 0 : 2 ** (width - 12) - 3 * 2 ** 18;
}
