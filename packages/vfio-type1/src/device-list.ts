/**
 * The open devices of a container, and what they are told when a mapping goes.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_register_device,
 * vfio_iommu_type1_unregister_device, vfio_notify_dma_unmap, 6.16; reference type1.md §7
 */
import { byteAddress, Slot } from '@pinfold/base';
import type { VfioDma } from './dma.ts';
import type { VfioDevice } from './vfio-device.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * A device is open. One that does not want to know of unmaps is not noted.
 *
 * @param iommu the container's state
 * @param device the device
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_register_device, 6.16
 */
export function registerDevice(iommu: VfioIommu, device: VfioDevice): void {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.registerDeviceCalls, 1);
  tracer?.enter('vfio_iommu_type1_register_device');
  if (device.dmaUnmap) iommu.deviceList.unshift(device);
  tracer?.exit('vfio_iommu_type1_register_device');
}

/**
 * A device is closed.
 *
 * @param iommu the container's state
 * @param device the device
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unregister_device, 6.16
 */
export function unregisterDevice(iommu: VfioIommu, device: VfioDevice): void {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.unregisterDeviceCalls, 1);
  tracer?.enter('vfio_iommu_type1_unregister_device');
  const at = iommu.deviceList.indexOf(device);
  if (at >= 0) iommu.deviceList.splice(at, 1);
  tracer?.exit('vfio_iommu_type1_unregister_device');
}

/**
 * Tells every open device that a mapping goes, the last opened first, whether it has pages of it
 * pinned or not. They call back: the container's lock is not held.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @source drivers/vfio/vfio_iommu_type1.c vfio_notify_dma_unmap, 6.16
 */
export function notifyDmaUnmap(iommu: VfioIommu, dma: VfioDma): void {
  const { tracer } = iommu.counters;
  const { iovaPn, npage } = dma;
  const devices = [...iommu.deviceList];
  iommu.counters.add(Slot.dmaUnmapNotifications, devices.length);
  for (const device of devices) {
    tracer?.enter('extpin_dma_unmap', iovaPn, npage);
    device.dmaUnmap?.(byteAddress(iovaPn, iommu.pageShift), byteAddress(npage, iommu.pageShift));
    tracer?.exit('extpin_dma_unmap');
  }
}
