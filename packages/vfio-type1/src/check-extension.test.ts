import { intelVtd, type IommuUnit } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { Guest } from '../test/guest.ts';
import { Mdev } from '../test/mdev.ts';
import { VfioContainer } from './container.ts';
import { kernels } from '../test/kernels.ts';

/** The extensions from 1 to 11 that a container has. */
function extensions(container: VfioContainer): number[] {
  return Array.from({ length: 11 }, (_, i) => i + 1).filter((i) => container.checkExtension(i));
}

// Recorded: type1, type1v2, unmap all, and update vaddr once the driver is set; nesting on 6.12.
describe.each(kernels)('VFIO_CHECK_EXTENSION, kernel $name', (kernel) => {
  const nesting = kernel.type1.nestingType ? [6] : [];

  test('before VFIO_SET_IOMMU', () => {
    const { memory } = new Guest();
    const container = new VfioContainer({ kernel, memory });
    expect(extensions(container)).toEqual([1, 3, ...nesting, 9]);
  });

  test.each([true, false])('after it, v2 %o', (v2) => {
    expect(extensions(new Guest({ kernel, v2 }).container)).toEqual([1, 3, ...nesting, 9, 10]);
  });
});

// Recorded: extpin x01.
test.each(kernels)(
  '$name: no update of a vaddr with an emulated group; without a domain DMA is coherent',
  (kernel) => {
    const nesting = kernel.type1.nestingType ? [6] : [];
    const { container } = new Mdev({ kernel });
    expect(extensions(container)).toEqual([1, 3, 4, ...nesting, 9]);
  },
);

test('DMA is coherent if every domain sees to it', () => {
  const snooping: IommuUnit = { ...intelVtd(), snoopControl: true };
  const { container } = new Guest({ unit: snooping });
  expect(container.checkExtension(4)).toBe(1);
  container.addGroup({ name: 'alike', unit: snooping });
  expect(container.checkExtension(4)).toBe(1);
  container.addGroup({ name: 'not coherent', unit: intelVtd() });
  expect(container.checkExtension(4)).toBe(0);
});
