import { InputError, KernelError } from '@pinfold/base';
import { intelVtd, type IommuUnit, type ResvRegion } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { Guest, outcome } from '../test/guest.ts';
import type { IommuGroup } from './vfio-domain.ts';

/** A group with reserved pages of its own. */
function group(...resvRegions: readonly ResvRegion[]): IommuGroup {
  return { name: 'second', unit: intelVtd(), resvRegions };
}

const RMRR: ResvRegion = { type: 'direct', start: 0x7b000, last: 0x7bfff };
const RELAXABLE: ResvRegion = { type: 'direct-relaxable', start: 0, last: 0xfff };

describe('the usable addresses', () => {
  test.each([
    [39, 2 ** 27 - 1],
    [48, 2 ** 36 - 1],
    [57, 2 ** 45 - 1],
  ])('of %i bits: the aperture without the interrupt window', (width, last) => {
    expect(new Guest({ unit: intelVtd(width) }).iommu.iovaList).toEqual([
      { start: 0, last: 0xfedff },
      { start: 0xfef00, last },
    ]);
  });

  test('shrink with every group that has reserved regions; relaxable ones are left in', () => {
    const { container, iommu } = new Guest();
    container.addGroup(group(RMRR, RELAXABLE));
    expect(iommu.iovaList).toEqual([
      { start: 0, last: 0x7afff },
      { start: 0x7c000, last: 0xfedff },
      { start: 0xfef00, last: 2 ** 36 - 1 },
    ]);
  });

  test('must not be used up', () => {
    const { container, iommu } = new Guest();
    const before = iommu.iovaList;
    const all = group({ type: 'reserved', start: 0, last: 2 ** 40 });
    expect(() => container.addGroup(all)).toThrow(/EINVAL at vfio_iommu_resv_exclude/);
    expect(iommu.iovaList).toBe(before);
  });

  test('end at the smallest width: 39 bits', () => {
    const guest = new Guest({ unit: intelVtd(39) }).mmap({ npage: 10 });
    expect([guest.map(2 ** 27 - 10, 10), guest.map(2 ** 27, 1)].map(outcome)).toEqual([
      'ok',
      'EINVAL',
    ]);
  });
});

describe('a second group', () => {
  test('behind the same kind of IOMMU joins the domain: every chunk is mapped once', () => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.container.addGroup(group());
    expect(guest.iommu.domainList.length).toBe(1);
    expect(guest.counted(() => guest.map(0, 10)).iommuMapCalls).toBe(1);
  });

  test('may come while mappings exist: nothing is pinned or mapped again', () => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.map(0, 10);
    const before = guest.state();
    const counts = guest.counted(() => guest.container.addGroup(group()));
    expect(counts).toMatchObject({ gupCalls: 0, iommuMapCalls: 0 });
    expect(guest.state()).toBe(before);
  });

  test.each<[string, ResvRegion, string | null]>([
    ['over a mapping', { ...RMRR, start: 5, last: 5 }, 'vfio_iommu_resv_conflict'],
    ['right behind it', { ...RMRR, start: 10, last: 20 }, null],
    ['over it, but relaxable', RELAXABLE, null],
    [
      'over it, for software-managed MSIs',
      { type: 'sw-msi', start: 9, last: 9 },
      'vfio_iommu_resv_conflict',
    ],
  ])('whose reserved region lies %s', (_, region, at) => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.map(0, 10);
    const before = guest.state();
    const add = (): void => guest.container.addGroup(group(region));
    if (at === null) expect(add).not.toThrow();
    else expect(add).toThrow(`VFIO_GROUP_SET_CONTAINER: EINVAL at ${at}`);
    expect(guest.state()).toBe(before);
  });

  test('is refused while a vaddr is invalid, because it might have to pin', () => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.map(0, 10);
    guest.unmap(0, 10, 4);
    expect(() => guest.container.addGroup(group())).toThrow(KernelError);
    expect(() => guest.container.addGroup(group())).toThrow(/EBUSY/);
    guest.map(0, 10, undefined, 4);
    expect(() => guest.container.addGroup(group())).not.toThrow();
  });

  test('must be another one', () => {
    const { container } = new Guest();
    const second = group();
    container.addGroup(second);
    expect(() => container.addGroup(second)).toThrow(/EINVAL/);
  });

  test('is known by the domain that translates for it', () => {
    const guest = new Guest();
    const second = group();
    expect(guest.container.domainOf(second)).toBeNull();
    guest.container.addGroup(second);
    expect(guest.container.domainOf(second)).toBe(guest.iommu.domainList[0].domain);
  });
});

describe('a group behind another kind of IOMMU', () => {
  const other = (unit: IommuUnit): IommuGroup => ({ name: 'other', unit });

  test.each([
    ['width', intelVtd(39)],
    ['superpages', { ...intelVtd(), superpageOrders: [9] }],
    ['snoop control', { ...intelVtd(), snoopControl: true }],
  ])('of another %s gets a domain of its own, which comes first', (_, unit) => {
    const guest = new Guest();
    const [first] = guest.iommu.domainList;
    guest.container.addGroup(other(unit));
    expect(guest.iommu.domainList.length).toBe(2);
    expect(guest.iommu.domainList[1]).toBe(first);
    expect(guest.iommu.domainList[0].domain.unit).toBe(unit);
    guest.container.addGroup({ ...other(unit), name: 'a third' });
    expect(guest.iommu.domainList.length).toBe(2);
  });

  test('gets the mappings that exist, with the pins and the charge that exist', () => {
    const guest = new Guest().mmap({ npage: 600 });
    guest.map(512, 600);
    const { nrFollPinAcquired } = guest.memory.vmstat;
    guest.container.addGroup(other(intelVtd(39)));
    const [second, first] = guest.iommu.domainList.map(({ domain }) => [...domain.leaves()]);
    expect(second).toEqual(first);
    expect(second.length).toBeGreaterThan(0);
    expect([guest.memory.vmstat.nrFollPinAcquired, guest.mm.lockedVm]).toEqual([
      nrFollPinAcquired,
      600,
    ]);
  });

  test('gets every later mapping too; unmapping takes it out of both, and unpins once', () => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.container.addGroup(other(intelVtd(39)));
    expect(guest.counted(() => guest.map(0, 10)).iommuMapCalls).toBe(2);
    expect(guest.counted(() => guest.unmap(0, 10)).iommuUnmapCalls).toBe(2);
    for (const { domain } of guest.iommu.domainList) expect([...domain.leaves()]).toEqual([]);
    expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm]).toEqual([0, 0]);
  });

  test('narrows the usable addresses to the smaller width', () => {
    const { container, iommu } = new Guest();
    container.addGroup(other(intelVtd(39)));
    expect(iommu.iovaList.at(-1)).toEqual({ start: 0xfef00, last: 2 ** 27 - 1 });
    container.addGroup({ ...other(intelVtd(57)), name: 'wide' });
    expect(iommu.iovaList.at(-1)).toEqual({ start: 0xfef00, last: 2 ** 27 - 1 });
  });

  test.each([
    [2 ** 27 - 10, 10, true],
    [2 ** 27 - 10, 11, false],
    [2 ** 27, 1, false],
    [2 ** 36 - 1, 1, false],
  ])('39 bits wide, with a mapping at page %i of %i pages: %o', (iovaPn, npage, fits) => {
    const guest = new Guest().mmap({ npage: 11 });
    expect(outcome(guest.map(iovaPn, npage))).toBe('ok');
    const { iovaList } = guest.iommu;
    const before = guest.state();
    const add = (): void => guest.container.addGroup(other(intelVtd(39)));
    if (fits) expect(add).not.toThrow();
    else {
      expect(add).toThrow('VFIO_GROUP_SET_CONTAINER: EINVAL at vfio_iommu_aper_conflict');
      expect(guest.iommu.iovaList).toBe(iovaList);
      expect(guest.state()).toBe(before);
      guest.unmap(iovaPn, npage);
      expect(add).not.toThrow();
    }
  });

  test('of no width that exists is the fault of whoever wrote it down', () => {
    const { container } = new Guest();
    expect(() => container.addGroup(other(intelVtd(40)))).toThrow(InputError);
  });
});
