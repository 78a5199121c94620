/** What UNMAP_DMA and MAP_DMA lack in releases before 5.12: flags, and an order by address. */
import { describe, expect, test } from 'vitest';
import { bytes, Guest, outcome, VPN } from '../test/guest.ts';
import type { Type1Rules } from './rules.ts';
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
} from './uapi.ts';

const BEFORE = { unmapAll: false, updateVaddr: false, unmapOrder: 'tree' } as const;

/** Mappings of a page each, at the I/O virtual pages of a list. */
function guest(pages: readonly number[], type1: Partial<Type1Rules> = BEFORE): Guest {
  const made = new Guest({ type1 }).mmap({ npage: 64 });
  for (const [i, iovaPn] of pages.entries()) {
    expect(outcome(made.map(iovaPn, 1, VPN + i))).toBe('ok');
  }
  return made;
}

describe('before 5.12', () => {
  test('has no extension for unmapping everything and for new addresses', () => {
    const { container } = guest([]);
    expect(container.checkExtension(VFIO_UNMAP_ALL)).toBe(0);
    expect(container.checkExtension(VFIO_UPDATE_VADDR)).toBe(0);
  });

  test.each([VFIO_DMA_UNMAP_FLAG_ALL, VFIO_DMA_UNMAP_FLAG_VADDR])(
    'refuses the unmap flag %i as unknown',
    (flags) => {
      const { container } = guest([1, 2]);
      const done = container.tryUnmapDma({ flags, iova: 0n, size: 0n });
      expect(outcome(done)).toMatch(/EINVAL/u);
    },
  );

  test('refuses the map flag for a new address as unknown', () => {
    const made = guest([1]);
    const flags = VFIO_DMA_MAP_FLAG_VADDR;
    const call = { flags, iova: bytes(1), vaddr: bytes(VPN), size: bytes(1) };
    expect(outcome(made.container.tryMapDma(made.task, call))).toMatch(/EINVAL/u);
  });

  test.each([
    // The root of five is 2; a root that is erased is replaced by its successor.
    ['tree', [2, 3, 4, 5, 1]],
    ['address', [1, 2, 3, 4, 5]],
  ] as const)('takes mappings in the order of %s', (unmapOrder, wanted) => {
    const made = guest([1, 2, 3, 4, 5], { ...BEFORE, unmapOrder });
    const taken: number[] = [];
    const { dmaList } = made.iommu;
    const erase = dmaList.erase.bind(dmaList);
    dmaList.erase = (dma) => {
      taken.push(dma.iovaPn);
      erase(dma);
    };
    const done = made.container.tryUnmapDma({ iova: bytes(1), size: bytes(5) });
    expect(outcome(done)).toBe('ok');
    expect(done.size).toBe(bytes(5));
    expect(taken).toEqual(wanted);
  });
});
