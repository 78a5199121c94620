import { intelVtd, type ResvRegion } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { Guest, outcome } from '../test/guest.ts';
import { VFIO_TYPE1v2_IOMMU } from './uapi.ts';
import type { IommuGroup } from './vfio-domain.ts';
import { kernels } from '../test/kernels.ts';

const FULL = [
  { start: 0, last: 0xfedff },
  { start: 0xfef00, last: 2 ** 36 - 1 },
];

function group(name: string, resvRegions: readonly ResvRegion[] = [], width = 48): IommuGroup {
  return { name, unit: intelVtd(width), resvRegions };
}

/** The group that every guest begins with. */
function firstGroup({ iommu }: Guest): IommuGroup {
  return iommu.domainList[0].groupList[0];
}

describe.each(kernels)('the last group leaves, kernel $name', (kernel) => {
  test('every mapping is unmapped, unpinned and uncharged, in address order', () => {
    const guest = new Guest({ kernel }).mmap({ npage: 20 });
    const before = [...guest.memory.memmap.foliosInUse()];
    guest.map(500, 10);
    guest.map(100, 10, 2 ** 20 + 10);
    const { iommu, container } = guest;
    const counts = guest.counted(() => container.removeGroup(firstGroup(guest)));
    expect(counts).toMatchObject({
      removeDmaCalls: 2,
      unmapUnpinCalls: 2,
      syncUnpinCalls: 2,
      accountingUpdates: 2,
    });
    expect([...guest.memory.memmap.foliosInUse()].map(({ refcount }) => refcount)).toEqual(
      before.map(({ refcount }) => refcount),
    );
    expect([guest.mm.lockedVm, iommu.dmaList.size, iommu.dmaAvail]).toEqual([0, 0, 65_535]);
    expect([...guest.memory.warnings]).toEqual([]);
  });

  test('and with it the driver: VFIO_SET_IOMMU is needed again', () => {
    const guest = new Guest({ kernel }).mmap({ npage: 1 });
    const { container } = guest;
    const first = firstGroup(guest);
    container.removeGroup(first);
    expect(outcome(guest.map(0, 1))).toBe('EINVAL');
    expect(container.domainOf(first)).toBeNull();
    container.addGroup(first);
    expect(outcome(guest.map(0, 1))).toBe('EINVAL');
    container.setIommu(VFIO_TYPE1v2_IOMMU);
    expect(outcome(guest.map(0, 1))).toBe('ok');
  });
});

describe('a group that leaves others behind', () => {
  test('in its domain: nothing is unmapped', () => {
    const guest = new Guest().mmap({ npage: 10 });
    const second = group('second');
    guest.map(0, 10);
    guest.container.addGroup(second);
    const before = guest.state();
    expect(guest.counted(() => guest.container.removeGroup(second))).toMatchObject({
      iommuUnmapCalls: 0,
      removeDmaCalls: 0,
    });
    expect(guest.state()).toBe(before);
    expect(guest.container.domainOf(second)).toBeNull();
  });

  test.each(['first', 'second'])('in another domain: the %s domain goes alone', (leaving) => {
    const guest = new Guest().mmap({ npage: 10 });
    const first = firstGroup(guest);
    const second = group('second', [], 39);
    guest.container.addGroup(second);
    guest.map(0, 10);
    const counts = guest.counted(() =>
      guest.container.removeGroup(leaving === 'first' ? first : second),
    );
    expect(counts).toMatchObject({ iommuUnmapCalls: 0, removeDmaCalls: 0 });
    expect(guest.iommu.domainList.length).toBe(1);
    expect(guest.leaves().length).toBe(10);
    // What is left serves as the record of the frames.
    expect(outcome(guest.unmap(0, 10))).toBe('ok');
    expect([guest.memory.vmstat.pinsHeld, guest.leaves().length]).toEqual([0, 0]);
    expect([...guest.memory.warnings]).toEqual([]);
  });

  test('may have been first in: the others keep the driver', () => {
    const guest = new Guest().mmap({ npage: 10 });
    const first = firstGroup(guest);
    guest.container.addGroup(group('second'));
    guest.container.removeGroup(first);
    expect(outcome(guest.map(0, 10))).toBe('ok');
  });

  test('a group that is not in is refused', () => {
    const { container } = new Guest();
    expect(() => container.removeGroup(group('stranger'))).toThrow(
      /^VFIO_GROUP_UNSET_CONTAINER: EINVAL/,
    );
  });
});

describe('the usable addresses after a group has left', () => {
  const RMRR: ResvRegion = { type: 'direct', start: 0x7b000, last: 0x7bfff };

  test('have its reserved region again', () => {
    const { container, iommu } = new Guest();
    const second = group('second', [RMRR]);
    container.addGroup(second);
    expect(iommu.iovaList.length).toBe(3);
    container.removeGroup(second);
    expect(iommu.iovaList).toEqual(FULL);
  });

  test('but not if another group has it too', () => {
    const { container, iommu } = new Guest();
    const second = group('second', [RMRR]);
    container.addGroup(second);
    container.addGroup(group('third', [{ ...RMRR, last: 0x7b0ff }]));
    container.removeGroup(second);
    expect(iommu.iovaList).toEqual([
      { start: 0, last: 0x7afff },
      { start: 0x7b100, last: 0xfedff },
      FULL[1],
    ]);
  });

  // The list is rebuilt between its own ends, which move only when a domain goes.
  test('and not at the ends of the list, while the domain stays', () => {
    const { container, iommu } = new Guest();
    const second = group('second', [
      { type: 'reserved', start: 0, last: 99 },
      { type: 'reserved', start: 2 ** 36 - 10, last: 2 ** 36 - 1 },
    ]);
    container.addGroup(second);
    container.removeGroup(second);
    expect(iommu.iovaList).toEqual([
      { start: 100, last: 0xfedff },
      { start: 0xfef00, last: 2 ** 36 - 11 },
    ]);
  });

  test('reach to the end of the domain that is left', () => {
    const { container, iommu } = new Guest();
    const second = group('second', [{ type: 'reserved', start: 0, last: 99 }], 39);
    container.addGroup(second);
    expect(iommu.iovaList).toEqual([
      { start: 100, last: 0xfedff },
      { start: 0xfef00, last: 2 ** 27 - 1 },
    ]);
    container.removeGroup(second);
    expect(iommu.iovaList).toEqual(FULL);
  });
});
