/** A container that is ready to map, in one call. */
import { intelVtd } from '@pinfold/iommu';
import type { ContainerOptions } from './container-groups.ts';
import { VfioContainer } from './container.ts';
import { VFIO_TYPE1v2_IOMMU } from './uapi.ts';
import type { VfioGroup } from './vfio-device.ts';

/** What {@link openContainer} opens. */
export interface OpenContainer extends ContainerOptions {
  /** The group that is added; default: one behind a VT-d unit of 48 address bits. */
  readonly group?: VfioGroup;
  /** The type of VFIO_SET_IOMMU; default VFIO_TYPE1v2_IOMMU. */
  readonly type?: number;
}

/**
 * Opens a container, adds a group and sets its IOMMU type: what every user of VFIO does before it
 * maps.
 *
 * @param options kernel and memory; group and type where the defaults do not fit
 * @returns the container
 * @throws {KernelError} EINVAL or ENODEV for a type that the kernel does not have
 * @source Documentation/driver-api/vfio.rst, usage example, 6.16
 */
export function openContainer(options: OpenContainer): VfioContainer {
  const { group = { name: 'group 0', unit: intelVtd() }, type = VFIO_TYPE1v2_IOMMU } = options;
  const container = new VfioContainer(options);
  container.addGroup(group);
  container.setIommu(type);
  return container;
}
