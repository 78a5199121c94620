/**
 * Maps and unmaps 16 GiB in one layout of reference strategies.md and prints what was counted:
 *
 *     node --conditions=@pinfold/source count-16g.ts runs H2 [ALGORITHM]
 *
 * Beside its layouts, G2 is H2 in hugetlb pages, and an "a" behind it means that they are adjacent.
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
import { pinAlgorithm, VfioContainer, VFIO_TYPE1v2_IOMMU } from '../src/index.ts';
import { testKernel } from './kernels.ts';

type Layout = 'S4' | 'T4' | 'H2' | 'H1' | 'G2' | 'G2a' | 'H1a';

const N = 4_194_304;
const SIZE = 16n << 30n;
const IOVA = 1n << 32n;
const VPN = 0x1000000;
/** First frame: congruent to the addresses modulo 2 MiB, not modulo 1 GiB. */
const PFN = 2 ** 20 + 512;

const SMALL = { kind: 'anon', order: 0, start: PFN } as const;
const G2 = { kind: 'hugetlb', order: 9, start: PFN } as const;
const H1 = { kind: 'hugetlb', order: 18, start: 2 ** 20 } as const;

/** What a layout is made of. */
interface Backing {
  readonly kind: MemoryKind;
  readonly order: number;
  readonly start: number;
  readonly adjacent?: boolean;
}

const MEMORY: Readonly<Record<Layout, Backing>> = {
  S4: SMALL,
  T4: { ...SMALL, adjacent: true },
  H2: { ...G2, kind: 'anon' },
  H1,
  G2,
  G2a: { ...G2, adjacent: true },
  H1a: { ...H1, adjacent: true },
};

/** Folios swapped in pairs are never adjacent. */
function framesOf(layout: Layout): FrameSource {
  const { order, start, adjacent = false } = MEMORY[layout];
  return {
    framesFor(vpn, npage, _order, out) {
      const folio = 2 ** order;
      const index = Math.floor((vpn - VPN) / folio);
      out.order = order;
      out.pfn = adjacent ? start + vpn - VPN : start + (index ^ 1) * folio;
      out.npage = adjacent ? npage : folio;
    },
  };
}

function count(name: string, layout: Layout, algorithm: string | undefined): void {
  const kernel = testKernel(name);
  const memory = new Memory(new MemMap([{ pfn: 0, npage: 2 ** 20 + N + 1024 }]), kernel.mm);
  const mm = new MmStruct(memory);
  const { kind, order } = MEMORY[layout];
  mmapMemory(mm, { vpn: VPN, npage: N, kind, order, frames: framesOf(layout) });
  const type1 = algorithm === undefined ? {} : { pinAlgorithm: pinAlgorithm(algorithm) };
  const container = new VfioContainer({ kernel, memory, type1 });
  container.addGroup({ name: 'vfio', unit: intelVtd() });
  container.setIommu(VFIO_TYPE1v2_IOMMU);
  container.mapDma(new Task(mm, Infinity), { iova: IOVA, vaddr: BigInt(VPN) << 12n, size: SIZE });
  const map = memory.counters.snapshot();
  container.unmapDma({ iova: IOVA, size: SIZE });
  process.stdout.write(JSON.stringify([map, memory.counters.since(map)]));
}

const [kernel = '', layout = '', algorithm] = process.argv.slice(2);
if (!(layout in MEMORY))
  throw new Error(`layout: expected ${Object.keys(MEMORY).join(', ')}, got '${layout}'`);
count(kernel, layout as Layout, algorithm);
