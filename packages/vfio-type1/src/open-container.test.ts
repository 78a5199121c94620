import { Errno, KernelError } from '@pinfold/base';
import { intelVtd } from '@pinfold/iommu';
import { createTask } from '@pinfold/mm';
import { expect, test } from 'vitest';
import { openContainer } from './open-container.ts';
import { VFIO_TYPE1_IOMMU } from './uapi.ts';
import { kernels } from '../test/kernels.ts';

test.each(kernels)('$name: type1 v2 with one group, unless told otherwise', (kernel) => {
  const { memory } = createTask({ rules: kernel.mm }).mm;
  const { iommu } = openContainer({ kernel, memory });
  expect(iommu.v2).toBe(true);
  expect(iommu.domainList.map(({ groupList }) => groupList.length)).toEqual([1]);

  const group = { name: 'nic', unit: intelVtd(39) };
  const other = openContainer({ kernel, memory, group, type: VFIO_TYPE1_IOMMU });
  expect(other.iommu.v2).toBe(false);
  expect(other.domainOf(group)?.unit.addressWidth).toBe(39);
});

test('a type that the kernel has not is refused', () => {
  const [kernel] = kernels;
  const { memory } = createTask({ rules: kernel.mm }).mm;
  const open = (): unknown => openContainer({ kernel, memory, type: 99 });
  expect(open).toThrow(KernelError);
  expect(open).toThrow(expect.objectContaining({ errno: Errno.ENODEV }));
});
