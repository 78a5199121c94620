/**
 * Maps and unmaps 16 GiB in one layout of reference strategies.md and prints what was counted:
 *
 *     node --conditions=@pinfold/source count-16g.ts 6.18 H2
 */
import { intelVtd } from '@pinfold/iommu';
import {
  MemMap,
  Memory,
  mmapMemory,
  MmStruct,
  Task,
  type FrameSource,
  type MemoryKind,
} from '@pinfold/mm';
import { kernelVersion, VfioContainer, VFIO_TYPE1v2_IOMMU } from '../src/index.ts';

type Layout = 'S4' | 'T4' | 'H2' | 'H1';

const N = 4_194_304;
const SIZE = 16n << 30n;
const IOVA = 1n << 32n;
const VPN = 0x1000000;
/** First frame: congruent to the addresses modulo 2 MiB, not modulo 1 GiB. */
const PFN = 2 ** 20 + 512;

const MEMORY: Readonly<Record<Layout, { kind: MemoryKind; order: number; start: number }>> = {
  S4: { kind: 'anon', order: 0, start: PFN },
  T4: { kind: 'anon', order: 0, start: PFN },
  H2: { kind: 'anon', order: 9, start: PFN },
  H1: { kind: 'hugetlb', order: 18, start: 2 ** 20 },
};

/** Folios swapped in pairs are never adjacent; T4 is one run. */
function framesOf(layout: Layout): FrameSource {
  const { order, start } = MEMORY[layout];
  return {
    framesFor(vpn, npage, _order, out) {
      const folio = 2 ** order;
      const index = Math.floor((vpn - VPN) / folio);
      out.order = order;
      out.pfn = layout === 'T4' ? start + vpn - VPN : start + (index ^ 1) * folio;
      out.npage = layout === 'T4' ? npage : folio;
    },
  };
}

function count(release: string, layout: Layout): void {
  const kernel = kernelVersion(release);
  const memory = new Memory(new MemMap([{ pfn: 0, npage: 2 ** 20 + N + 1024 }]), kernel.mm);
  const mm = new MmStruct(memory);
  const { kind, order } = MEMORY[layout];
  mmapMemory(mm, { vpn: VPN, npage: N, kind, order, frames: framesOf(layout) });
  const container = new VfioContainer({ kernel, memory });
  container.addGroup({ name: 'vfio', unit: intelVtd() });
  container.setIommu(VFIO_TYPE1v2_IOMMU);
  container.mapDma(new Task(mm, Infinity), { iova: IOVA, vaddr: BigInt(VPN) << 12n, size: SIZE });
  const map = memory.counters.snapshot();
  container.unmapDma({ iova: IOVA, size: SIZE });
  process.stdout.write(JSON.stringify([map, memory.counters.since(map)]));
}

const [release = '', layout = ''] = process.argv.slice(2);
if (!(layout in MEMORY)) throw new Error(`layout: expected S4, T4, H2 or H1, got '${layout}'`);
count(release, layout as Layout);
