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
 * Completes an algorithm with the shared defaults: the map loop, the pin loop and the unpin loop of
 * 6.16, the scan by iova_to_phys, external pins page by page, and no state of its own.
 *
 * @param spec what is particular about it
 * @returns the algorithm; all of them have the same fields, so that their steps are called fast
 * @source reference strategies.md (f)
 */
export function definePinAlgorithm(spec: PinAlgorithmSpec): PinAlgorithm {
  return {
    name: spec.name,
    summary: spec.summary,
    source: spec.source,
    repins: spec.repins ?? false,
    limitFirst: spec.limitFirst ?? false,
    defects: spec.defects ?? [],
    vpfnSpan: spec.vpfnSpan ?? 1,
    pinMap: spec.pinMap ?? pinMapByChunks,
    pinChunk:
      spec.pinChunk ??
      ((iommu, dma, vaddr, npage, limit, batch, chunk) =>
        pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptPages)),
    unpinRegion: spec.unpinRegion ?? unpinPages,
    nextUnmapRun: spec.nextUnmapRun ?? scanIovaToPhys,
    pinExternal: spec.pinExternal ?? pinExternalPages,
    forget: spec.forget ?? (() => undefined),
  };
}
