/** What the driver of a device does wrong by itself. */

/**
 * The functions that the kernel warns of when the driver of a device calls it wrongly: no fault of
 * the model, and no pin algorithm can help it.
 */
export const DRIVER_FAULTS: ReadonlySet<string> = new Set([
  ...(['vfio_pin_pages', 'vfio_unpin_pages', 'vfio_dma_rw'] as const),
  ...(['vfio_device_container_unpin_pages', 'vfio_iommu_type1_unpin_pages'] as const),
]);
