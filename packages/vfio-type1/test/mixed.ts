/** A container that begins with a device without an IOMMU; groups behind one come and go. */
import { intelVtd, type IommuUnit } from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import type { EmulatedGroup, IommuGroup, VfioDevice, VfioDma } from '../src/index.ts';
import { bytes, Guest, type GuestOptions } from './guest.ts';

/** Access that devices ask for. */
const RW = 3;

/** A group without an IOMMU. */
export function emulatedGroup(name = 'ext0'): EmulatedGroup {
  return { emulated: true, name };
}

/** A group behind an IOMMU. */
export function iommuGroup(name = 'edu', unit: IommuUnit = intelVtd()): IommuGroup {
  return { name, unit };
}

/** A guest whose first group has no IOMMU, with its device open. */
export class Mixed extends Guest {
  readonly group: EmulatedGroup;
  readonly device: VfioDevice;

  constructor(options: GuestOptions = {}) {
    const group = emulatedGroup();
    super({ ...options, group });
    this.group = group;
    this.device = { name: 'ext0', group, dmaUnmap: () => undefined };
    this.container.openDevice(this.device);
  }

  /** vfio_pin_pages in pages, at an offset in bytes; returns the number of pages or -errno. */
  pin(iovaPn: number, npage = 1, offset = 0): number {
    const iova = bytes(iovaPn) + BigInt(offset);
    return this.container.tryPinPages(this.device, iova, npage, RW, []);
  }

  /** vfio_unpin_pages in pages. */
  unpin(iovaPn: number, npage = 1): void {
    this.container.unpinPages(this.device, bytes(iovaPn), npage);
  }

  /** Attaches a group behind an IOMMU; returns it. */
  attach(group: IommuGroup = iommuGroup(), current: Task | null = this.task): IommuGroup {
    this.container.addGroup(group, current);
    return group;
  }

  /** The device is closed and its group leaves. */
  leave(): void {
    this.container.closeDevice(this.device);
    this.container.removeGroup(this.group);
  }

  /** The first mapping. */
  get dma(): VfioDma {
    const [dma] = this.iommu.dmaList;
    return dma;
  }
}
