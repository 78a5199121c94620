import { Errno, KernelBug } from '@pinfold/base';
import { intelVtd, iommuPagingDomainAlloc } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { Guest, PFN, VPN } from '../test/guest.ts';
import { Mixed } from '../test/mixed.ts';
import { watch, type Orders } from '../test/watched-table.ts';
import { vfioIommuReplay } from './replay.ts';
import { VfioDomain } from './vfio-domain.ts';
import { kernels, RUNS } from '../test/kernels.ts';

/** Three mappings: runs of 3 and 2 pages, of 4 pages, and of 1 page that is read-only. */
function mapped(): Guest {
  const frames = [0, 1, 2, 10, 11, 20, 21, 22, 23, 30].map((page) => PFN + page);
  const guest = new Guest().mmapFrames(VPN, frames);
  guest.map(100, 5);
  guest.map(200, 4, VPN + 5);
  guest.map(300, 1, VPN + 9, 1);
  return guest;
}

/** A domain like the first, not in the container, that fails at the n-th map call. */
function emptyDomain(
  { iommu }: Guest,
  failsAt = Infinity,
  unmap: Orders['unmap'] = () => null,
): VfioDomain {
  const { iommu: rules } = RUNS;
  const domain = new VfioDomain(iommuPagingDomainAlloc(intelVtd(), rules, iommu.counters));
  let calls = 0;
  iommu.domainList.push(domain);
  watch(
    iommu,
    { map: () => (++calls === failsAt ? { error: -Errno.ENOMEM, mapped: 1 } : null), unmap },
    iommu.domainList.length - 1,
  );
  return iommu.domainList.pop() ?? domain;
}

function leavesOf({ domain }: VfioDomain): unknown[] {
  return [...domain.leaves()];
}

describe('replaying the mappings of a container into a new domain', () => {
  test('maps the same frames with the same access', () => {
    const guest = mapped();
    const second = emptyDomain(guest);
    expect(vfioIommuReplay(guest.iommu, second.domain)).toBe(0);
    expect(leavesOf(second)).toEqual(leavesOf(guest.iommu.domainList[0]));
    expect(leavesOf(second).length).toBe(10);
  });

  test('reads them back page by page and pins, charges and unmaps nothing', () => {
    const guest = mapped();
    const second = emptyDomain(guest);
    const before = guest.state();
    const counts = guest.counted(() => vfioIommuReplay(guest.iommu, second.domain));
    // A look-up per page, and one more where a run ends inside a mapping.
    expect(counts).toMatchObject({
      iovaToPhysCalls: 10 + 1,
      iommuMapCalls: 4,
      iommuUnmapCalls: 0,
      gupCalls: 0,
      accountingUpdates: 0,
    });
    expect(guest.state()).toBe(before);
  });

  test.each([1, 2, 3, 4])('undoes itself when map call %i fails', (failsAt) => {
    const guest = mapped();
    const second = emptyDomain(guest, failsAt);
    const before = guest.state();
    expect(vfioIommuReplay(guest.iommu, second.domain)).toBe(-Errno.ENOMEM);
    expect(guest.iommu.failure?.at).toBe('vfio_iommu_replay');
    expect(leavesOf(second)).toEqual([]);
    expect(guest.state()).toBe(before);
  });

  test('does nothing in a container without mappings', () => {
    const guest = new Guest();
    const second = emptyDomain(guest);
    expect(vfioIommuReplay(guest.iommu, second.domain)).toBe(0);
    expect(leavesOf(second)).toEqual([]);
  });

  test('skips a page that is not mapped, with a warning', () => {
    const guest = mapped();
    guest.iommu.domainList[0].domain.unmap(201, 1);
    const second = emptyDomain(guest);
    expect(vfioIommuReplay(guest.iommu, second.domain)).toBe(0);
    expect(leavesOf(second).length).toBe(9);
    expect([...guest.memory.warnings.keys()]).toEqual(['vfio_iommu_replay']);
  });
});

describe.each(kernels)('pinning what no domain maps, kernel $name', (kernel) => {
  /** Runs of 3, 2 and 4 pages of memory, 4 of device memory, 1 page; the devices have pinned two. */
  function waiting(): Mixed {
    const frames = [0, 1, 2, 10, 11, 20, 21, 22, 23, 30].map((page) => PFN + page);
    const guest = new Mixed({ kernel }).mmapFrames(VPN, frames);
    guest.mmapBar({ vpn: VPN + 100, npage: 4 });
    guest.map(100, 5);
    guest.map(200, 4, VPN + 5);
    guest.map(250, 4, VPN + 100);
    guest.map(300, 1, VPN + 9, 1);
    expect([guest.pin(101), guest.pin(104)]).toEqual([1, 1]);
    return guest;
  }

  test('charges the rest, and maps the frames', () => {
    const guest = waiting();
    const domain = emptyDomain(guest);
    expect(vfioIommuReplay(guest.iommu, domain.domain)).toBe(0);
    expect(leavesOf(domain).length).toBe(14);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([10, 12]);
    expect([...guest.iommu.dmaList].map(({ iommuMapped }) => iommuMapped)).toEqual(
      new Array(4).fill(true),
    );
  });

  test.each([1, 2, 3, 4, 5])('undoes itself when map call %i fails', (failsAt) => {
    const guest = waiting();
    const domain = emptyDomain(guest, failsAt);
    const before = guest.state();
    const { nrFollPinAcquired } = guest.memory.vmstat;
    expect(vfioIommuReplay(guest.iommu, domain.domain)).toBe(-Errno.ENOMEM);
    expect(guest.iommu.failure?.at).toBe('vfio_iommu_replay');
    expect(leavesOf(domain)).toEqual([]);
    expect(guest.state()).toBe(before);
    expect(guest.memory.vmstat.nrFollPinAcquired).toBeGreaterThan(nrFollPinAcquired);
    expect(guest.mm.lockedVm).toBe(2);
    expect([...guest.iommu.dmaList].map(({ iommuMapped }) => iommuMapped)).toEqual(
      new Array(4).fill(false),
    );
  });
});

test('a page that stays mapped in the domain that is given up: the kernel would never return', () => {
  const guest = new Mixed().mmap({ npage: 2 });
  guest.map(100, 2);
  guest.map(200, 2, 2 ** 30);
  const domain = emptyDomain(guest, Infinity, () => 0);
  expect(() => vfioIommuReplay(guest.iommu, domain.domain)).toThrow(KernelBug);
});
