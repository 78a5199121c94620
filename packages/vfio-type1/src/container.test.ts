import { Errno, KernelError } from '@pinfold/base';
import { intelVtd } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { bytes, Guest, outcome, VPN } from '../test/guest.ts';
import { batched } from './algorithms/batched.ts';
import { VfioContainer } from './container.ts';
import { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU } from './uapi.ts';
import { kernels, RUNS } from '../test/kernels.ts';

/** The error that a call throws. */
function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return null;
}

describe('before VFIO_SET_IOMMU', () => {
  function fresh(): VfioContainer {
    const { memory } = new Guest();
    return new VfioContainer({ kernel: RUNS, memory });
  }

  test('there is no type1 state, and no ioctl of it', () => {
    const { task } = new Guest();
    const container = fresh();
    const map = { iova: 0n, vaddr: 0n, size: 4096n };
    expect(container.tryMapDma(task, map)).toMatchObject({ ret: -22, at: 'vfio_fops_unl_ioctl' });
    expect(container.tryUnmapDma(map)).toMatchObject({ ret: -22, size: 4096n });
    for (const call of [
      () => container.iommu,
      () => container.mapDma(task, map),
      () => container.unmapDma(map),
      () => container.getInfo(),
    ]) {
      expect(errorOf(call)).toBeInstanceOf(KernelError);
      expect(errorOf(call)).toMatchObject({ code: 'EINVAL' });
    }
  });

  test('a group has to be there', () => {
    expect(errorOf(() => fresh().setIommu(VFIO_TYPE1v2_IOMMU))).toMatchObject({
      op: 'VFIO_SET_IOMMU',
      code: 'EINVAL',
    });
  });

  test.each([2, 4, 5, 6, 7, 8])('type %i is none of this driver', (type) => {
    const container = fresh();
    container.addGroup({ name: 'a', unit: intelVtd() });
    expect(errorOf(() => container.setIommu(type))).toMatchObject({ code: 'ENODEV' });
  });

  test.each([
    // Asked for as an extension first: 9 is one, 10 only where the driver is set.
    [9, 'EINVAL', 'vfio_iommu_type1_open'],
    [10, 'ENODEV', 'vfio_ioctl_set_iommu'],
    [11, 'ENODEV', 'vfio_ioctl_set_iommu'],
  ])('extension %i is no type: %s', (type, code, at) => {
    const container = fresh();
    container.addGroup({ name: 'a', unit: intelVtd() });
    expect(errorOf(() => container.setIommu(type))).toMatchObject({ code, at });
  });

  // Recorded: 6.12 offers the nesting type, and VT-d refuses it.
  test.each(kernels)('the nesting type, kernel $name', (kernel) => {
    const { memory } = new Guest();
    const container = new VfioContainer({ kernel, memory });
    container.addGroup({ name: 'a', unit: intelVtd() });
    expect(errorOf(() => container.setIommu(6))).toMatchObject({
      op: 'VFIO_SET_IOMMU',
      code: kernel.type1.nestingType ? 'EINVAL' : 'ENODEV',
    });
    container.setIommu(VFIO_TYPE1v2_IOMMU);
    expect(container.iommu.v2).toBe(true);
  });

  test('a group may leave again', () => {
    const container = fresh();
    const group = { name: 'a', unit: intelVtd() };
    container.addGroup(group);
    container.removeGroup(group);
    expect(errorOf(() => container.setIommu(VFIO_TYPE1v2_IOMMU))).toMatchObject({
      code: 'EINVAL',
    });
    container.addGroup(group);
    container.setIommu(VFIO_TYPE1v2_IOMMU);
    expect(container.domainOf(group)).not.toBeNull();
  });

  test('closing does nothing', () => {
    expect(errorOf(() => fresh().close())).toBeNull();
  });
});

describe('VFIO_SET_IOMMU', () => {
  test('gives type1 or type1v2', () => {
    expect(new Guest({ v2: true }).iommu.v2).toBe(true);
    expect(new Guest({ v2: false }).iommu.v2).toBe(false);
    expect([VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU]).toEqual([1, 3]);
  });

  test('is done once', () => {
    const { container } = new Guest();
    expect(errorOf(() => container.setIommu(VFIO_TYPE1v2_IOMMU))).toMatchObject({ code: 'EINVAL' });
  });

  test.each(kernels)('takes the rules of kernel $name, or what replaces them', (kernel) => {
    expect(new Guest({ kernel }).iommu.rules).toEqual(kernel.type1);
    const replaced = new Guest({ kernel, type1: { pinAlgorithm: batched } }).iommu.rules;
    expect(replaced).toEqual({ ...kernel.type1, pinAlgorithm: batched });
  });

  test('takes the module parameters, or their defaults', () => {
    const withIommu = { enableUnsafeNoiommuMode: false };
    expect(new Guest().iommu.params).toEqual({
      disableHugepages: false,
      dmaEntryLimit: 65_535,
      ...withIommu,
    });
    const { iommu } = new Guest({ params: { dmaEntryLimit: 7 } });
    expect(iommu.params).toEqual({ disableHugepages: false, dmaEntryLimit: 7, ...withIommu });
    expect(iommu.dmaAvail).toBe(7);
  });
});

describe('module parameters that change', () => {
  function boot(): {
    guest: Guest;
    params: { disableHugepages: boolean; dmaEntryLimit: number };
  } {
    const params = { disableHugepages: false, dmaEntryLimit: 2 };
    return { guest: new Guest({ params }).mmap({ npage: 20 }), params };
  }

  test('disable_hugepages: the next map obeys', () => {
    const { guest, params } = boot();
    expect(guest.counted(() => guest.map(0, 10)).iommuMapCalls).toBe(1);
    params.disableHugepages = true;
    expect(guest.counted(() => guest.map(10, 10, VPN + 10)).iommuMapCalls).toBe(10);
  });

  test('dma_entry_limit: the next VFIO_SET_IOMMU obeys', () => {
    const { guest, params } = boot();
    params.dmaEntryLimit = 1;
    guest.map(0, 1);
    expect(outcome(guest.map(1, 1))).toBe('ok');
    expect(guest.map(2, 1)).toMatchObject({ ret: -28, detail: { dmaEntryLimit: 2 } });
    guest.container.close();
    guest.container.addGroup({ name: 'again', unit: intelVtd() });
    guest.container.setIommu(VFIO_TYPE1v2_IOMMU);
    guest.map(0, 1);
    expect(outcome(guest.map(1, 1))).toBe('ENOSPC');
  });
});

describe('an ioctl that throws', () => {
  test('says which operation failed, with what errno, where, and what the check saw', () => {
    const { container, task } = new Guest({ memlockPages: 3 }).mmap({ npage: 10 });
    const error = errorOf(() =>
      container.mapDma(task, { iova: 0n, vaddr: bytes(VPN), size: bytes(4) }),
    );
    expect(error).toBeInstanceOf(KernelError);
    expect(error).toMatchObject({
      op: 'VFIO_IOMMU_MAP_DMA',
      errno: Errno.ENOMEM,
      code: 'ENOMEM',
      at: 'vfio_pin_pages_remote',
      detail: { lockedVmPages: 0, limitPages: 3 },
    });
    const unmap = errorOf(() => container.unmapDma({ iova: 1n, size: 4096n }));
    expect(unmap).toMatchObject({
      op: 'VFIO_IOMMU_UNMAP_DMA',
      code: 'EINVAL',
      at: 'vfio_dma_do_unmap',
    });
  });

  test('says why memory could not be had', () => {
    const { container, task } = new Guest().mmap({ npage: 10 });
    const error = errorOf(() =>
      container.mapDma(task, { iova: 0n, vaddr: bytes(VPN), size: bytes(11) }),
    );
    expect(error).toMatchObject({
      code: 'EFAULT',
      detail: { vpn: VPN + 10, why: 'no VMA covers it' },
    });
  });

  test('returns what was unmapped', () => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.map(0, 10);
    expect(guest.container.unmapDma({ iova: 0n, size: bytes(10) })).toBe(bytes(10));
    expect(guest.container.unmapDma({ iova: 0n, size: bytes(10) })).toBe(0n);
  });

  test('forgets the failure of the one before', () => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.map(0, 11);
    expect(guest.map(0, 10)).toEqual({ ret: 0, at: '', detail: {} });
    guest.map(0, 10);
    expect(guest.unmap(0, 10)).toMatchObject({ ret: 0, at: '', detail: {} });
  });
});

describe.each(kernels)('closing, kernel $name', (kernel) => {
  test.each([true, false])('unmaps, unpins and uncharges every mapping, v2 %o', (v2) => {
    const guest = new Guest({ kernel, v2 })
      .mmap({ npage: 100 })
      .mmap({ vpn: 2 ** 21, pfn: 2 ** 16, npage: 1024, order: 9 });
    const { iommu } = guest;
    const before = memoryState(guest);
    guest.map(0, 50);
    guest.map(64, 50, VPN + 50);
    guest.map(1024, 1000, 2 ** 21 + 5);
    guest.unmap(0, 0, 2 | 4);
    expect(memoryState(guest)).not.toEqual(before);
    guest.container.close();
    expect(memoryState(guest)).toEqual(before);
    expect([iommu.dmaList.size, iommu.dmaAvail, iommu.vaddrInvalidCount]).toEqual([0, 65_535, 0]);
    expect([...guest.memory.warnings]).toEqual([]);
  });

  test('leaves a container that can be set up again', () => {
    const guest = new Guest({ kernel }).mmap({ npage: 10 });
    guest.map(0, 10);
    guest.container.close();
    guest.container.addGroup({ name: 'again', unit: intelVtd(39) });
    guest.container.setIommu(VFIO_TYPE1v2_IOMMU);
    expect(guest.dmas()).toEqual([]);
    expect(outcome(guest.map(0, 10))).toBe('ok');
  });
});

/** The state of a guest's memory: folio counts, locked_vm and pins. */
function memoryState({ memory, mm }: Guest): unknown {
  const folios = Array.from(memory.memmap.foliosInUse(), (f) => [
    f.pfn,
    f.order,
    f.refcount,
    f.pincount,
  ]);
  return { folios, lockedVm: mm.lockedVm, pinsHeld: memory.vmstat.pinsHeld };
}
