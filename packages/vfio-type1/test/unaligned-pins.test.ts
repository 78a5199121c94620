/**
 * Devices pin at addresses inside pages, with the look-up of a pinned page as it was first merged in
 * July 2025: it finds the next node within a page's length.
 */
import { KernelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { pinAlgorithm, type VfioDevice } from '../src/index.ts';
import { bytes, Guest, PFN } from './guest.ts';

/** Those with the look-up as first merged or posted. */
const UNFIXED = ['unpin-rfc-2025', 'unpin-folio-2025', 'series-1-folio', 'series-1-4-unfixed'];
const FIXED = ['batched', 'series-1-compare', 'series-1-2', 'series-1-3', 'series-1-4'];

/** A device without an IOMMU that pins in a mapping of 16 pages at page 0. */
class Pinning extends Guest {
  readonly #device: VfioDevice;

  constructor(algorithm: string) {
    const group = { emulated: true, name: 'mediated' } as const;
    super({ group, type1: { pinAlgorithm: pinAlgorithm(algorithm) } });
    this.mmap({ npage: 16 }).map(0, 16);
    this.#device = { name: 'mdev', group, dmaUnmap: () => undefined };
    this.container.openDevice(this.#device);
  }

  /** Pins pages; returns their frames. */
  pin(iovaPn: number, offset: number, npage = 1): number[] {
    const pages = this.container.pinPages(this.#device, at(iovaPn, offset), npage, 3);
    return pages.map((page) => this.memory.memmap.pageToPfn(page));
  }

  unpin(iovaPn: number, offset: number, npage = 1): void {
    this.container.unpinPages(this.#device, at(iovaPn, offset), npage);
  }

  /** The pinned pages as [page, offset, references]. */
  nodes(): number[][] {
    const [dma] = this.iommu.dmaList;
    return Array.from(dma.pfnList, ({ iovaPn, offset, refCount }) => [iovaPn, offset, refCount]);
  }
}

function at(iovaPn: number, offset: number): bigint {
  return bytes(iovaPn) + BigInt(offset);
}

describe('two pins, the second inside the page before the first', () => {
  function pinned(algorithm: string): readonly [number[], number[][]] {
    const guest = new Pinning(algorithm);
    guest.pin(5, 0x200);
    return [guest.pin(4, 0x800), guest.nodes()];
  }

  test.each(FIXED)('are two: %s', (algorithm) => {
    expect(pinned(algorithm)).toEqual([
      [PFN + 4],
      [
        [4, 0x800, 1],
        [5, 0x200, 1],
      ],
    ]);
  });

  test.each(UNFIXED)('the device is given the page of the first: %s', (algorithm) => {
    expect(pinned(algorithm)).toEqual([[PFN + 5], [[5, 0x200, 2]]]);
  });
});

describe('two overlapping pins, given back in the order in which they were made', () => {
  /** One page at 5:0x100, then three from 4:0x800 on. */
  function givenBack(algorithm: string): Pinning {
    const guest = new Pinning(algorithm);
    guest.pin(5, 0x100);
    guest.pin(4, 0x800, 3);
    guest.unpin(5, 0x100);
    guest.unpin(4, 0x800, 3);
    return guest;
  }

  test.each(FIXED)('leave nothing: %s', (algorithm) => {
    const guest = givenBack(algorithm);
    expect([guest.nodes(), guest.memory.vmstat.pinsHeld, guest.mm.lockedVm]).toEqual([[], 0, 0]);
    expect(guest.unmap(0, 16)).toMatchObject({ ret: 0, size: bytes(16) });
  });

  test.each(UNFIXED)('leave a node; an unmap waits for it in vain: %s', (algorithm) => {
    const guest = givenBack(algorithm);
    expect([guest.nodes(), guest.memory.vmstat.pinsHeld, guest.mm.lockedVm]).toEqual([
      [[5, 0x100, 1]],
      1,
      1,
    ]);
    expect(() => guest.unmap(0, 16)).toThrow(KernelBug);
  });

  test('with the look-up as first merged, the page of the second is unpinned with the first', () => {
    const guest = new Pinning('series-1-4-unfixed');
    guest.pin(5, 0x100);
    guest.pin(4, 0x800, 3);
    expect(guest.nodes()).toEqual([
      [5, 0x100, 2],
      [5, 0x800, 1],
      [6, 0x800, 1],
    ]);
    guest.unpin(5, 0x100);
    expect(guest.nodes()).toEqual([
      [5, 0x100, 2],
      [6, 0x800, 1],
    ]);
  });
});
