/** How an algorithm is written down: what it does differently, and shared defaults for the rest. */
import { acceptPages } from '../accept-pages.ts';
import { pinExternalPages } from '../pin-external.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinPagesRemote } from '../pin-chunk.ts';
import { pinMapByChunks } from '../pin-map.ts';
import { scanIovaToPhys } from '../scan-iova-to-phys.ts';
import { unpinPages } from '../unpin-pages.ts';

/** Name, summary and source of an algorithm, and those of its steps that are its own. */
export type PinAlgorithmSpec = Pick<PinAlgorithm, 'name' | 'summary' | 'source'> &
  Partial<PinAlgorithm>;

/**
 * Completes an algorithm with the steps of another one.
 *
 * @param spec what is particular about it
 * @param base whose steps those left out are; default: the map loop, the pin loop and the unpin loop
 *   of 6.16, the scan by iova_to_phys, external pins page by page, and no state of its own
 * @returns the algorithm; all of them have the same fields, so that their steps are called fast
 * @source reference strategies.md (f)
 */
export function definePinAlgorithm(
  spec: PinAlgorithmSpec,
  base: PinAlgorithmSteps = STEPS_OF_6_16,
): PinAlgorithm {
  return {
    name: spec.name,
    summary: spec.summary,
    source: spec.source,
    repins: spec.repins ?? false,
    limitFirst: spec.limitFirst ?? false,
    defects: spec.defects ?? [],
    base: spec.base ?? null,
    ownWork: spec.ownWork ?? null,
    vpfnSpan: spec.vpfnSpan ?? base.vpfnSpan,
    pinMap: spec.pinMap ?? base.pinMap,
    pinChunk: spec.pinChunk ?? base.pinChunk,
    unpinRegion: spec.unpinRegion ?? base.unpinRegion,
    nextUnmapRun: spec.nextUnmapRun ?? base.nextUnmapRun,
    pinExternal: spec.pinExternal ?? base.pinExternal,
    forget: spec.forget ?? base.forget,
  };
}

/**
 * Whether steps of an algorithm rely on what others of them have noted of a mapping, so that none of
 * these can be replaced alone.
 *
 * @param algorithm the algorithm
 * @returns true for a list of pages or extents
 */
export function keepsList({ forget }: PinAlgorithmSteps): boolean {
  return forget !== STEPS_OF_6_16.forget;
}

/** What one algorithm can have from another. */
export type PinAlgorithmSteps = Pick<
  PinAlgorithm,
  'vpfnSpan' | 'pinMap' | 'pinChunk' | 'unpinRegion' | 'nextUnmapRun' | 'pinExternal' | 'forget'
>;

const STEPS_OF_6_16: PinAlgorithmSteps = {
  vpfnSpan: 'byte',
  pinMap: pinMapByChunks,
  pinChunk: (iommu, dma, vaddr, npage, limit, batch, chunk) =>
    pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptPages),
  unpinRegion: unpinPages,
  nextUnmapRun: scanIovaToPhys,
  pinExternal: pinExternalPages,
  forget: () => undefined,
};
