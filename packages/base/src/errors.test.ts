import { describe, expect, test } from 'vitest';
import { Errno } from './errno.ts';
import { InputError, KernelBug, KernelError, ModelBug } from './errors.ts';

describe('KernelError', () => {
  test('carries the errno positive, its name, the operation and the place', () => {
    const error = new KernelError('VFIO_IOMMU_MAP_DMA', -Errno.ENOMEM, 'vfio_lock_acct', {
      lockedVm: 5n,
    });
    expect(error).toMatchObject({
      name: 'KernelError',
      errno: 12,
      code: 'ENOMEM',
      op: 'VFIO_IOMMU_MAP_DMA',
      at: 'vfio_lock_acct',
      detail: { lockedVm: 5n },
    });
  });

  test('says in its message what the check saw', () => {
    const detail = { size: 4096, flags: true, why: 'no VMA', iova: 1n };
    expect(
      new KernelError('VFIO_IOMMU_MAP_DMA', Errno.EFAULT, 'vaddr_get_pfns', detail).message,
    ).toBe('VFIO_IOMMU_MAP_DMA: EFAULT at vaddr_get_pfns: size=4096 flags=true why=no VMA iova=1');
  });

  test('needs no detail', () => {
    const error = new KernelError('VFIO_SET_IOMMU', Errno.EINVAL, 'vfio_ioctl_set_iommu');
    expect(error.message).toBe('VFIO_SET_IOMMU: EINVAL at vfio_ioctl_set_iommu');
    expect(error.detail).toEqual({});
  });
});

test('KernelBug names the kernel function', () => {
  const bug = new KernelBug('gup_put_folio', 'pfn 7 holds no pin');
  expect(bug).toMatchObject({
    name: 'KernelBug',
    at: 'gup_put_folio',
    message: 'gup_put_folio: pfn 7 holds no pin',
  });
});

test('InputError names the place, what is accepted there and what was found', () => {
  const error = new InputError('--size', 'a size', "'x'");
  expect(error).toMatchObject({
    name: 'InputError',
    place: '--size',
    expected: 'a size',
    message: "--size: expected a size, got 'x'",
  });
});

test('the four kinds are told apart by class and by name', () => {
  const errors = [
    new KernelError('op', 1, 'at'),
    new KernelBug('at', 'what'),
    new InputError('place', 'expected', 'got'),
    new ModelBug('broken'),
  ];
  const kinds = [KernelError, KernelBug, InputError, ModelBug];
  for (const [i, error] of errors.entries()) {
    expect(error).toBeInstanceOf(Error);
    expect(kinds.map((kind) => error instanceof kind)).toEqual(kinds.map((_, kind) => kind === i));
  }
  expect(errors.map(({ name }) => name)).toEqual([
    'KernelError',
    'KernelBug',
    'InputError',
    'ModelBug',
  ]);
});
