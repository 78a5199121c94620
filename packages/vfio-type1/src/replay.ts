/**
 * Mapping what a container has mapped into a domain that is new in it.
 *
 * Where the container has a domain already, the frames are read back from its first one; nothing is
 * pinned or charged again. A mapping that no domain has, because the container had only groups
 * without an IOMMU, is pinned now: what devices have pinned of it is in the vpfn tree and charged,
 * so that only the rest is.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_replay, 6.12 and 6.16; reference type1.md §11
 */
import { KernelBug, ModelBug } from '@pinfold/base';
import { IOMMU, PhysRun, type IommuDomain } from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import { makeBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { batchUnpin, PinnedChunk } from './pin-chunk.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** What a replay works with. */
interface Replay {
  /** The container's state. */
  readonly iommu: VfioIommu;
  /** The new domain. */
  readonly domain: IommuDomain;
  /** The process whose RLIMIT_MEMLOCK binds; null: that of each mapping. */
  readonly current: Task | null;
  readonly chunk: PinnedChunk;
  readonly run: PhysRun;
}

/**
 * Maps every mapping of a container into a new domain, or none.
 *
 * @param iommu the container's state; the new domain is not in its list
 * @param domain the new domain
 * @param current the process under whose RLIMIT_MEMLOCK mappings without a domain are pinned; null
 *   (default): each under that of the process that made it
 * @returns 0; or the errno of iommu_map, or of the pin: -EFAULT, -ENOMEM; with nothing left in the
 *   new domain, and nothing pinned or charged that was not before
 * @throws {KernelBug} when what was mapped cannot be unmapped: the kernel's loop never ends
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_replay, 6.12 and 6.16
 */
export function vfioIommuReplay(
  iommu: VfioIommu,
  domain: IommuDomain,
  current: Task | null = null,
): number {
  const { dmaList } = iommu;
  const [chunk, run] = [new PinnedChunk(), new PhysRun()];
  const replay: Replay = { iommu, domain, current, chunk, run };
  for (let dma = dmaList.first(); dma; dma = dmaList.next(dma)) {
    const ret = dma.iommuMapped ? copyDma(replay, dma) : pinDma(replay, dma);
    if (ret === 0) continue;
    for (let at: VfioDma | null = dma; at; at = dmaList.prev(at)) undoDma(replay, at);
    return ret;
  }
  for (const dma of dmaList) dma.iommuMapped = true;
  return 0;
}

/** Maps what another domain maps, run by run of consecutive frames. */
function copyDma({ iommu, domain, run }: Replay, dma: VfioDma): number {
  if (iommu.domainList.length === 0)
    throw new ModelBug(`the mapping at ${dma.iovaPn} is mapped, but no domain has it`);
  const [source] = iommu.domainList;
  for (let pos = 0; pos < dma.npage; pos += run.npage) {
    const iovaPn = dma.iovaPn + pos;
    source.domain.iovaToPhysRun(iovaPn, dma.npage - pos, run);
    if (run.pfn === 0) {
      iommu.memory.warnOn('vfio_iommu_replay', `iova page ${iovaPn} of a mapping is not mapped`);
      run.npage = 1;
      continue;
    }
    const ret = domain.map(iovaPn, run.pfn, run.npage, dma.prot | IOMMU.CACHE);
    if (ret)
      return iommu.fail(-ret, 'vfio_iommu_replay', { iovaPn, pfn: run.pfn, npage: run.npage });
  }
  return 0;
}

/** Pins what no domain maps, and maps it chunk by chunk. */
function pinDma({ iommu, domain, current, chunk }: Replay, dma: VfioDma): number {
  const { pinAlgorithm } = iommu.rules;
  // The kernel has one batch for all: nothing is left in it, for a chunk never asks for more than
  // its mapping has left.
  const batch = makeBatch(iommu, dma.npage);
  const limit = (current ?? dma.task).memlockPages;
  for (let pos = 0; pos < dma.npage;) {
    const [iovaPn, vaddr, left] = [dma.iovaPn + pos, dma.vaddr + pos, dma.npage - pos];
    const pinned = pinAlgorithm.pinChunk(iommu, dma, vaddr, left, limit, batch, chunk);
    if (pinned <= 0) {
      if (pinned < 0) return pinned;
      throw new ModelBug(`nothing was pinned at iova page ${iovaPn}, and nothing failed`);
    }
    const { pfnBase } = chunk;
    const ret = domain.map(iovaPn, pfnBase, pinned, dma.prot | IOMMU.CACHE);
    if (ret) {
      pinAlgorithm.unpinRegion(iommu, dma, iovaPn, pfnBase, pinned, true);
      batchUnpin(iommu, dma, batch);
      return iommu.fail(-ret, 'vfio_iommu_replay', { iovaPn, pfn: pfnBase, npage: pinned });
    }
    pos += pinned;
  }
  return 0;
}

/** Takes a mapping out of the new domain; what has been pinned for it is unpinned and uncharged. */
function undoDma(replay: Replay, dma: VfioDma): void {
  if (dma.iommuMapped) replay.domain.unmap(dma.iovaPn, dma.npage);
  else unpinDma(replay, dma);
}

/**
 * Finds the frames again in the new domain. The kernel does not step over a run that it has
 * unmapped: it looks at every page of it once more, which is then not mapped.
 */
function unpinDma({ iommu, domain, run }: Replay, dma: VfioDma): void {
  const { pinAlgorithm } = iommu.rules;
  for (let pos = 0; pos < dma.npage;) {
    const iovaPn = dma.iovaPn + pos;
    domain.iovaToPhysRun(iovaPn, dma.npage - pos, run);
    const { pfn, npage } = run;
    if (pfn === 0) {
      pos++;
      continue;
    }
    if (domain.unmap(iovaPn, npage) === 0)
      throw new KernelBug('vfio_iommu_replay', `iova page ${iovaPn} stays mapped`);
    pinAlgorithm.unpinRegion(iommu, dma, iovaPn, pfn, npage, true);
  }
  pinAlgorithm.forget(iommu, dma);
}
