/**
 * Random sequences of ioctls: maps of parts of the address space, with good and bad arguments, and
 * unmaps that hit mappings, cut them or miss them.
 */
import fc from 'fast-check';
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
} from '../src/index.ts';
import { FIRST_VPN, type Machine } from './random-machine.ts';

/** One ioctl; places are fractions of what there is, so that every step means something. */
export type Step =
  | {
      readonly op: 'map';
      readonly from: number;
      readonly part: number;
      readonly iova: IovaPlace;
      readonly flags: number;
      readonly skew: Skew;
    }
  | {
      readonly op: 'unmap';
      readonly which: number;
      readonly cut: 'exact' | 'first' | 'last' | 'wide' | 'middle';
      readonly flags: number;
    }
  | { readonly op: 'unmapAll'; readonly flags: number }
  | { readonly op: 'updateVaddr'; readonly which: number; readonly from: number };

/** Where in the I/O address space: congruent to the memory, shifted, or at an edge. */
type IovaPlace = 'congruent' | 'shifted' | 'far' | 'msi' | 'top' | 'wrap';
/** What is wrong with the arguments. */
type Skew = 'none' | 'unaligned' | 'empty' | 'beyond';

const fraction = fc.integer({ min: 0, max: 99 });

/** Random steps. */
export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('map' as const),
        from: fraction,
        part: fc.integer({ min: 1, max: 100 }),
        iova: fc.constantFrom<IovaPlace>(
          'congruent',
          'congruent',
          'shifted',
          'shifted',
          'far',
          'msi',
          'top',
          'wrap',
        ),
        flags: fc.constantFrom(3, 3, 3, 1, 2, 0),
        skew: fc.constantFrom<Skew>(
          'none',
          'none',
          'none',
          'none',
          'none',
          'none',
          'unaligned',
          'empty',
          'beyond',
        ),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        op: fc.constant('unmap' as const),
        which: fraction,
        cut: fc.constantFrom('exact', 'exact', 'first', 'last', 'wide', 'middle'),
        flags: fc.constantFrom(0, 0, 0, VFIO_DMA_UNMAP_FLAG_VADDR),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant('unmapAll' as const),
        flags: fc.constantFrom(0, VFIO_DMA_UNMAP_FLAG_VADDR),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant('updateVaddr' as const),
        which: fraction,
        from: fraction,
      }),
    },
  ),
  { minLength: 1, maxLength: 12 },
);

const PAGE = 4096n;

/** Does a step; returns the ioctl's result. */
export function doStep(machine: Machine, step: Step): { ret: number; size: bigint } {
  const { container, task } = machine;
  if (step.op === 'map') {
    const result = container.tryMapDma(task, mapArguments(machine, step));
    return { ret: result.ret, size: 0n };
  }
  if (step.op === 'unmapAll') {
    return container.tryUnmapDma({
      iova: 0n,
      size: 0n,
      flags: step.flags | VFIO_DMA_UNMAP_FLAG_ALL,
    });
  }
  const dma = pick([...container.iommu.dmaList], step.which);
  const iovaPn = BigInt(dma?.iovaPn ?? 0x100);
  const npage = BigInt(dma?.npage ?? 1);
  if (step.op === 'updateVaddr') {
    const vaddr = BigInt(FIRST_VPN + Math.floor((step.from * machine.npage) / 100)) * PAGE;
    const map = { iova: iovaPn * PAGE, size: npage * PAGE, vaddr, flags: VFIO_DMA_MAP_FLAG_VADDR };
    return { ret: container.tryMapDma(task, map).ret, size: 0n };
  }
  const [start, length] = cutOf(step.cut, iovaPn, npage);
  return container.tryUnmapDma({ iova: start * PAGE, size: length * PAGE, flags: step.flags });
}

function pick<T>(items: readonly T[], which: number): T | undefined {
  return items[Math.floor((which * items.length) / 100)];
}

function cutOf(cut: string, iovaPn: bigint, npage: bigint): [bigint, bigint] {
  const half = npage / 2n;
  if (cut === 'first' && half > 0n) return [iovaPn, half];
  if (cut === 'last' && half > 0n) return [iovaPn + half, npage - half];
  if (cut === 'middle' && npage > 2n) return [iovaPn + 1n, npage - 2n];
  if (cut === 'wide') return [iovaPn > 4n ? iovaPn - 4n : 0n, npage + 8n];
  return [iovaPn, npage];
}

function mapArguments(
  machine: Machine,
  step: Extract<Step, { op: 'map' }>,
): { iova: bigint; vaddr: bigint; size: bigint; flags: number } {
  const first = Math.floor((step.from * machine.npage) / 100);
  const npage = Math.max(1, Math.ceil(((machine.npage - first) * step.part) / 100));
  const vpn = FIRST_VPN + first;
  const iovaPn = iovaPlace(machine, step.iova, vpn, npage);
  const size = step.skew === 'empty' ? 0n : BigInt(npage + (step.skew === 'beyond' ? 5 : 0)) * PAGE;
  const vaddr = BigInt(vpn) * PAGE + (step.skew === 'unaligned' ? 512n : 0n);
  return { iova: iovaPn * PAGE, vaddr, size, flags: step.flags };
}

function iovaPlace(machine: Machine, place: IovaPlace, vpn: number, npage: number): bigint {
  const aperture = machine.container.iommu.domainList[0]?.table.aperturePages ?? 0;
  if (place === 'congruent') return BigInt(vpn);
  if (place === 'shifted') return BigInt(vpn - FIRST_VPN + 0x403);
  if (place === 'far') return BigInt(vpn + 2 ** 25);
  if (place === 'msi') return 0xfee00n - BigInt(npage) + 1n;
  if (place === 'top') return BigInt(aperture - npage);
  return 2n ** 52n - BigInt(npage) + 1n;
}
