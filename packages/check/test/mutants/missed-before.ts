/**
 * Algorithms that go wrong where no sequence led before: with disable_hugepages, over the end of a
 * mapping, and at the limit of what a device may have pinned.
 */
import {
  algorithmFrom,
  pinAlgorithm,
  type AlgorithmKernel,
  type OwnAlgorithm,
  type OwnDma,
  type OwnPinRequest,
  type PinAlgorithm,
} from '@pinfold/vfio-type1';

const FILE = 'mutants/missed-before.ts';

/** Pins run by run: while I/O virtual pages follow each other, the mapping is looked up once. */
function externalRuns({ cutsAtEnd, unwinds }: Record<'cutsAtEnd' | 'unwinds', boolean>) {
  return (kernel: AlgorithmKernel, request: OwnPinRequest): number => {
    let dma: OwnDma | null = null;
    for (let i = 0; i < request.npage; i++) {
      const at = request.iovaPn(i);
      const inRun: boolean =
        dma !== null && at === request.iovaPn(i - 1) + 1 && request.offset(i) === 0;
      if (!dma || !inRun || (cutsAtEnd && at >= dma.iovaPn + dma.npage)) {
        const found = kernel.dmaToPin(request, i);
        if (typeof found === 'number') return kernel.unwindExternal(request, i, found);
        dma = found;
      }
      if (kernel.takeKnownPage(dma, request, i)) continue;
      const ret = kernel.pinNewPage(dma, request, i);
      if (ret >= 0) continue;
      return unwinds ? kernel.unwindExternal(request, i, ret) : ret;
    }
    return request.npage;
  };
}

/** `batched` that looks at the first chunk only, as if disable_hugepages did not exist. */
const ignoresParameter: PinAlgorithm = {
  ...pinAlgorithm('batched'),
  name: 'ignores-disable-hugepages',
  pinChunk(iommu, ...args) {
    const params = { ...iommu.params, disableHugepages: false };
    const view = Object.create(iommu, { params: { value: params } }) as typeof iommu;
    return pinAlgorithm('batched').pinChunk(view, ...args);
  },
};

function external(name: string, how: Parameters<typeof externalRuns>[0]): PinAlgorithm {
  const own: OwnAlgorithm = { name, pinExternal: externalRuns(how) };
  return algorithmFrom(own, FILE);
}

/** The wrong ones. */
export const MISSED_BEFORE: readonly PinAlgorithm[] = [
  ignoresParameter,
  external('external-run-over-the-end', { cutsAtEnd: false, unwinds: true }),
  external('external-pin-is-left-over-the-limit', { cutsAtEnd: true, unwinds: false }),
];

/** The right one of which they are variants. */
export const externalRunsRight: PinAlgorithm = external('external-runs', {
  ...{ cutsAtEnd: true, unwinds: true },
});
