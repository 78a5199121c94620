import { expect, test } from 'vitest';
import { boot, GIB, map, MIB, type Machine } from './machine.ts';

// Reference iommufd.md §14: five THPs of 2 MiB, the third and the fourth adjacent.
const THPS = [0x100000, 0x101000, 0x102000, 0x102200, 0x104000];

function bootExample(): Machine {
  return boot(THPS.map((pfn) => ({ pfn, npage: 512, order: 9 })));
}

test('the map: one pin call, four ranges, four maps, one charge', () => {
  const machine = bootExample();
  const { memory, iommufd, mm, task } = machine;
  expect(map(machine, GIB, 10n * MIB).ret).toBe(0);
  const counted = memory.counters.snapshot();
  expect(counted).toMatchObject({ gupFastCalls: 1, folioGrabs: 5, iommuMapCalls: 4 });
  const { counted: calls } = iommufd.context.calls;
  expect(calls.get('batch_to_domain')).toBe(1);
  expect(calls.get('iopt_pages_update_pinned')).toBe(1);
  expect([mm.pinnedVm, task.user.lockedVm, mm.lockedVm]).toEqual([2560, 2560, 0]);
});

test('an access reads its pages back from the domain', () => {
  const machine = bootExample();
  const { memory, iommufd, ioas, task } = machine;
  map(machine, GIB, 10n * MIB);
  const access = iommufd.accessCreate({ needsPinPages: true }, ioas.id);
  if (typeof access === 'number') throw new Error(`access: ${access}`);
  const before = memory.counters.snapshot();
  const pages = memory.memmap.pageArray(10);
  expect(access.pinPages(GIB + 600n * 4096n, 10n * 4096n, pages, 1, task)).toBe(0);
  expect(memory.counters.since(before)).toMatchObject({ iovaToPhysCalls: 10, gupFastCalls: 0 });
  expect([...pages]).toEqual(Array.from({ length: 10 }, (_, i) => 0x101000 + 88 + i));
  const [area] = ioas.iopt.areaTree.items;
  expect(area.pages?.pinnedPfns.size).toBe(10);
});

test('a detach under the access unmaps at cuts alone, and carries the rest', () => {
  const machine = bootExample();
  const { memory, iommufd, ioas, device, task, mm } = machine;
  map(machine, GIB, 10n * MIB);
  const access = iommufd.accessCreate({ needsPinPages: true }, ioas.id);
  if (typeof access === 'number') throw new Error(`access: ${access}`);
  access.pinPages(GIB + 600n * 4096n, 10n * 4096n, memory.memmap.pageArray(10), 1, task);
  const before = memory.counters.snapshot();
  iommufd.detach(device);
  // Pages 0 to 1023, then what is left of the area: each of the two ends where frames do not go on.
  expect(memory.counters.since(before)).toMatchObject({ iommuUnmapCalls: 2, iotlbSyncs: 2 });
  expect(memory.vmstat.pinsHeld).toBe(10);
  expect(mm.pinnedVm).toBe(10);
  access.unpinPages(GIB + 600n * 4096n, 10n * 4096n);
  expect([memory.vmstat.pinsHeld, mm.pinnedVm, task.user.lockedVm]).toEqual([0, 0, 0]);
});
