import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  entryAt,
  framesAt,
  map,
  NO_THP,
  pin,
  PIN_WRITE,
  RW,
  stateOf,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN } from '../test/free-frames.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { Task } from './mm-struct.ts';
import { mremap } from './mremap.ts';
import { MappedFile } from './page-cache.ts';
import { PciBar } from './pci-bar.ts';
import { mlock } from './syscalls.ts';
import { VM } from './vma.ts';

const TO = BASE + 2 ** 20;

/** Anonymous memory at BASE, every page of it touched. */
function touched(npage: number, options: FaultBoot = NO_THP): Faulting & { task: Task } {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, npage, anonymousMemory);
  for (let i = 0; i < npage; i++) touchPage(machine.mm, BASE + i, true);
  return { ...machine, task: new Task(machine.mm) };
}

describe('a move', () => {
  test('takes entries and frames along, pinned or not', () => {
    const { mm, task } = touched(4);
    const frames = framesAt(mm, BASE, 4);
    pin(mm, BASE, 2, PIN_WRITE);
    expect(mremap(task, { vpn: BASE, npage: 4, newPages: 4, to: TO })).toEqual({ ret: 0, vpn: TO });
    expect(framesAt(mm, TO, 4)).toEqual(frames);
    expect(framesAt(mm, BASE, 4)).toEqual([-1, -1, -1, -1]);
    expect(mm.vmas.lookup(BASE)).toBeNull();
  });

  test.each([
    ['stays large where the place is congruent', 0, 1],
    ['becomes small entries elsewhere', 1, 0],
  ])('of a huge page %s', (_, off, level) => {
    const { mm, task } = touched(512, {});
    expect(mremap(task, { vpn: BASE, npage: 512, newPages: 512, to: TO + off }).ret).toBe(0);
    expect(entryAt(mm, TO + off)).toMatchObject({ pfn: HUGE_PFN, level });
  });

  test('replaces what lies at its place, and cuts off what is too long', () => {
    const { mm, task } = touched(4);
    map(mm, TO, 2, anonymousMemory);
    expect(mremap(task, { vpn: BASE, npage: 4, newPages: 2, to: TO }).ret).toBe(0);
    expect(framesAt(mm, TO, 2).every((pfn) => pfn >= 0)).toBe(true);
    expect(mm.vmas.lookup(BASE + 3)).toBeNull();
  });

  test('of hugetlb memory keeps its reservations', () => {
    const { mm, memory } = bootFaulting({ hugePages: 2 });
    map(mm, BASE, 1024, new HugetlbMemory(9), RW | VM.HUGETLB);
    touchPage(mm, BASE, true);
    const free = memory.hugetlbPool(9)?.resvHugePages;
    expect(mremap(new Task(mm), { vpn: BASE, npage: 1024, newPages: 1024, to: TO }).ret).toBe(0);
    expect(memory.hugetlbPool(9)?.resvHugePages).toBe(free);
    expect(touchPage(mm, TO + 512, true)).toBe(0);
  });

  test.each([
    [false, -Errno.EFAULT],
    [true, 0],
  ])('of two areas is for releases since 6.17 (%s)', (several, ret) => {
    const { mm } = bootFaulting({ rules: { mremapMovesSeveral: several } });
    map(mm, BASE, 2, anonymousMemory);
    map(mm, BASE + 2, 2, anonymousMemory, VM.READ);
    expect(mremap(new Task(mm), { vpn: BASE, npage: 4, newPages: 4, to: TO }).ret).toBe(ret);
  });
});

describe('growth', () => {
  test('happens in place where there is room', () => {
    const { mm, task } = touched(2);
    expect(mremap(task, { vpn: BASE, npage: 2, newPages: 4 })).toEqual({ ret: 0, vpn: BASE });
    expect(mm.vmas.lookup(BASE)?.end).toBe(BASE + 4);
  });

  test('moves if it may, and fails if not', () => {
    const { mm, task } = touched(2);
    map(mm, BASE + 2, 1, anonymousMemory, VM.READ);
    const call = { vpn: BASE, npage: 2, newPages: 4 };
    expect(mremap(task, call).ret).toBe(-Errno.ENOMEM);
    expect(mremap(task, { ...call, findPlace: () => TO })).toEqual({ ret: 0, vpn: TO });
  });

  test('of locked memory is charged and populated, or refused at the limit', () => {
    const { mm } = touched(2);
    const task = new Task(mm, 4 * 4096);
    mlock(task, BASE, 2, true);
    expect(mremap(task, { vpn: BASE, npage: 2, newPages: 5 }).ret).toBe(-Errno.EAGAIN);
    expect(mremap(task, { vpn: BASE, npage: 2, newPages: 4 }).ret).toBe(0);
    expect(mm.lockedVm).toBe(4);
    expect(framesAt(mm, BASE, 4).every((pfn) => pfn >= 0)).toBe(true);
    expect(mremap(task, { vpn: BASE, npage: 4, newPages: 1, to: TO }).ret).toBe(0);
    expect(mm.lockedVm).toBe(1);
  });

  test('of device memory is refused', () => {
    const { mm } = bootFaulting({});
    map(mm, BASE, 4, new PciBar(2 ** 21, 64), RW | VM.SHARED | VM.PFNMAP | VM.IO);
    expect(mremap(new Task(mm), { vpn: BASE, npage: 4, newPages: 5 }).ret).toBe(-Errno.EFAULT);
  });
});

test('shared memory of length 0 is mapped a second time', () => {
  const { mm } = bootFaulting(NO_THP);
  map(mm, BASE, 4, new MappedFile('shmem', 4), RW | VM.SHARED);
  touchPage(mm, BASE + 1, true);
  const call = { vpn: BASE, npage: 0, newPages: 4, findPlace: () => TO };
  expect(mremap(new Task(mm), call).ret).toBe(0);
  touchPage(mm, TO + 1, false);
  expect(framesAt(mm, TO + 1, 1)).toEqual(framesAt(mm, BASE + 1, 1));
});

test.each([
  ['to no length', { newPages: 0 }, -Errno.EINVAL],
  ['of what is not mapped', { vpn: BASE + 9 }, -Errno.EFAULT],
  ['over the end of its area', { npage: 5, newPages: 6 }, -Errno.EFAULT],
  ['over itself', { to: BASE + 1 }, -Errno.EINVAL],
  ['above the address space', { to: 2 ** 35 - 2 }, -Errno.EINVAL],
  ['of private memory of length 0', { npage: 0, newPages: 1 }, -Errno.EINVAL],
])('an mremap %s is refused and changes nothing', (_, change, ret) => {
  const machine = touched(4);
  const before = stateOf(machine);
  expect(mremap(machine.task, { vpn: BASE, npage: 4, newPages: 4, ...change }).ret).toBe(ret);
  expect(stateOf(machine)).toEqual(before);
});
