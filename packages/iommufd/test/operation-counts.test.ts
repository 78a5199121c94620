import { pagesOf, type Vpn } from '@pinfold/base';
import { intelVtd } from '@pinfold/iommu';
import { Iommufd } from '@pinfold/iommufd';
import {
  type FrameRun,
  type FrameSource,
  LATEST_MM_RULES,
  MappedFile,
  MemMap,
  Memory,
  mmapMemory,
  MmStruct,
  Task,
} from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { FIXED_RW, GIB } from './machine.ts';

/** Pages of 16 GiB. */
const N = 2 ** 22;
const FIRST_PFN = 2 ** 20;
const FIRST_VPN = 2 ** 24;

/** Every folio lies one folio away from the one before. */
class Scattered implements FrameSource {
  readonly #order: number;

  constructor(order: number) {
    this.#order = order;
  }

  framesFor(vpn: Vpn, _npage: number, _order: number, out: FrameRun): void {
    const size = pagesOf(this.#order);
    const offset = (vpn - FIRST_VPN) % size;
    out.pfn = FIRST_PFN + 2 * (vpn - FIRST_VPN - offset) + offset;
    out.npage = size;
    out.order = this.#order;
  }
}

interface Counts {
  readonly pinCalls: number;
  readonly fills: number;
  readonly grabs: number;
  readonly maps: number;
  readonly ranges: number;
  readonly iovaToPhys: number;
  readonly unmaps: number;
}

/** Maps and unmaps 16 GiB, of memory or of a memfd, in folios of an order. */
function count(order: number, asFile: boolean): Counts {
  const memory = new Memory(new MemMap([{ pfn: FIRST_PFN, npage: 2 * N }]), LATEST_MM_RULES);
  const mm = new MmStruct(memory);
  const task = new Task(mm, Infinity, true);
  const frames = new Scattered(order);
  if (!asFile) {
    mmapMemory(mm, {
      vpn: FIRST_VPN,
      npage: N,
      kind: order === 18 ? 'hugetlb' : 'anon',
      order,
      frames,
    });
  }
  const iommufd = new Iommufd({ memory });
  const ioas = iommufd.ioasAlloc();
  iommufd.attach(task, iommufd.bind(intelVtd()), ioas.id);
  const place = { flags: FIXED_RW, ioasId: ioas.id, length: 16n * GIB, iova: 64n * GIB };
  if (asFile) {
    // The file's frames come as its holes are pinned.
    const file = new MappedFile('hugetlbfs', N, order);
    let next = 0;
    memory.frames = {
      framesFor: (_vpn, npage, wanted, out) => {
        frames.framesFor(FIRST_VPN + next, npage, wanted, out);
        next += pagesOf(order);
      },
    };
    const known = { kind: 'file', file, bytes: file.bytes } as const;
    expect(iommufd.ioasMapFile(task, { ...place, fd: 3, file: known, start: 0n }).ret).toBe(0);
  } else {
    expect(iommufd.ioasMap(task, { ...place, userVa: BigInt(FIRST_VPN) * 4096n }).ret).toBe(0);
  }
  const { gupFastCalls, memfdPinCalls, pageFills, folioGrabs, iommuMapCalls } =
    memory.counters.snapshot();
  const { counted } = iommufd.context.calls;
  expect(counted.get('pfn_reader_user_pin')).toBe(gupFastCalls + memfdPinCalls);
  iommufd.ioasUnmap(ioas.id, 64n * GIB, 16n * GIB);
  const { iovaToPhysCalls, iommuUnmapCalls, unpinRangeCalls } = memory.counters.snapshot();
  expect(memory.vmstat.pinsHeld).toBe(0);
  return {
    pinCalls: gupFastCalls + memfdPinCalls,
    fills: pageFills,
    grabs: folioGrabs,
    maps: iommuMapCalls,
    ranges: unpinRangeCalls,
    iovaToPhys: iovaToPhysCalls,
    unmaps: iommuUnmapCalls,
  };
}

/**
 * Reference iommufd.md §10. Of folios in a row of pin calls each range is one iommu_map; a batch holds
 * 5,461 ranges, and each batch but the last reads one page in vain.
 */
describe('operations of 16 GiB', () => {
  test.each<[string, number, boolean, Counts]>([
    [
      '4K scattered',
      0,
      false,
      { pinCalls: 512, fills: N, grabs: N, maps: N, ranges: N, iovaToPhys: N + 768, unmaps: 769 },
    ],
    [
      '2M scattered',
      9,
      false,
      {
        pinCalls: 512,
        fills: N,
        grabs: 8192,
        maps: 8192,
        ranges: 8192,
        iovaToPhys: N + 1,
        unmaps: 2,
      },
    ],
    [
      '1G scattered',
      18,
      false,
      { pinCalls: 512, fills: N, grabs: 512, maps: 16, ranges: 16, iovaToPhys: N, unmaps: 1 },
    ],
    [
      'memfd 2M by MAP_FILE',
      9,
      true,
      {
        pinCalls: 512,
        fills: 0,
        grabs: 16_384,
        maps: 8192,
        ranges: 8192,
        iovaToPhys: N + 1,
        unmaps: 2,
      },
    ],
    [
      'memfd 1G by MAP_FILE',
      18,
      true,
      { pinCalls: 512, fills: 0, grabs: 1024, maps: 16, ranges: 16, iovaToPhys: N, unmaps: 1 },
    ],
  ])('%s', (_, order, asFile, expected) => {
    expect(count(order, asFile)).toEqual(expected);
  });
});
