/**
 * The devices of the machine as the process uses them: group files, device files and BARs, of PCI
 * devices behind the IOMMU and of emulated ones.
 *
 * @source drivers/vfio/group.c, drivers/vfio/container.c, 6.16; README-extpin, "Operations"
 */
import { Errno, InputError, KernelError } from '@pinfold/base';
import type { IommuUnit } from '@pinfold/iommu';
import { PciBar, zapRange, type MmStruct, type Task } from '@pinfold/mm';
import type { IommuGroup, VfioContainer, VfioDevice } from '@pinfold/vfio-type1';
import type { ExtpinDevice, ExtpinDriver } from './extpin-driver.ts';
import type { BarLookup } from './guest-process.ts';
import type { BarFacts } from './machine-facts.ts';
import { resourceOf } from './sysfs-bar.ts';

/** Bit of PCI_COMMAND that lets a device decode memory accesses. */
const PCI_COMMAND_MEMORY = 2;

/** A device of the machine, alone in its group. */
export interface GuestDevice {
  /** What VFIO knows of it. */
  readonly vfio: VfioDevice;
  /** Its group if that is behind an IOMMU, else null. */
  readonly iommuGroup: IommuGroup | null;
  /** The driver's part of an emulated device, else null. */
  readonly ext: ExtpinDevice | null;
  /** Its BARs by number. */
  readonly bars: ReadonlyMap<number, PciBar>;
  /** The container that its group has joined. */
  container: VfioContainer | null;
  /** Whether the process has its group file open. */
  groupOpen: boolean;
  /** Whether the process has its device file open. */
  open: boolean;
}

/** All devices of the machine. */
export class GuestDevices implements BarLookup {
  readonly #devices: ReadonlyMap<string, GuestDevice>;
  /** Devices whose groups the process uses, in the order in which they joined. */
  #used: GuestDevice[] = [];

  /**
   * @param pci BARs of each PCI device by its alias
   * @param unit their IOMMU
   * @param driver the emulated devices
   */
  constructor(
    pci: Readonly<Record<string, readonly BarFacts[]>>,
    unit: IommuUnit,
    driver: ExtpinDriver,
  ) {
    const closed = { container: null, groupOpen: false, open: false };
    const behindIommu = Object.entries(pci).map(([name, bars]): [string, GuestDevice] => {
      const group = { name, unit };
      const byNumber = new Map(bars.map(({ bar, pfn, npage }) => [bar, new PciBar(pfn, npage)]));
      const vfio = { name, group };
      return [name, { vfio, iommuGroup: group, ext: null, bars: byNumber, ...closed }];
    });
    const emulated = [...driver.devices].map(([name, ext]): [string, GuestDevice] => {
      return [name, { vfio: ext, iommuGroup: null, ext, bars: new Map(), ...closed }];
    });
    this.#devices = new Map([...behindIommu, ...emulated]);
  }

  /** The containers that groups have joined. */
  get containers(): readonly VfioContainer[] {
    const found: VfioContainer[] = [];
    for (const { container } of this.#used) {
      if (container && !found.includes(container)) found.push(container);
    }
    return found;
  }

  /** The first group behind an IOMMU that has joined. */
  get firstPci(): GuestDevice | undefined {
    return this.#used.find(({ iommuGroup, container }) => iommuGroup !== null && container);
  }

  /**
   * A device by its alias.
   *
   * @param alias its alias
   * @returns the device
   * @throws {InputError} when the machine has no such device
   */
  get(alias: string): GuestDevice {
    const device = this.#devices.get(alias);
    if (device) return device;
    const known = [...this.#devices.keys()].join(', ');
    throw new InputError(`dev=${alias}`, `one of ${known}`, 'no such device');
  }

  /**
   * The emulated device of an alias.
   *
   * @param alias its alias
   * @returns the device, and the driver's part of it
   * @throws {InputError} when there is no such device, or it is not emulated
   */
  emulated(alias: string): { device: GuestDevice; ext: ExtpinDevice } {
    const device = this.get(alias);
    if (device.ext) return { device, ext: device.ext };
    throw new InputError(`dev=${alias}`, 'an emulated device', 'one behind an IOMMU');
  }

  /**
   * Opens a group, which one process may do once at a time, and puts it into a container.
   *
   * @param device the device
   * @param container the container
   * @param current the process
   * @throws {KernelError} EBUSY when the group is open; what VFIO_GROUP_SET_CONTAINER gives
   */
  join(device: GuestDevice, container: VfioContainer, current: Task): void {
    if (device.groupOpen || device.container) {
      throw new KernelError('open', Errno.EBUSY, 'vfio_group_fops_open', {});
    }
    container.addGroup(device.vfio.group, current);
    device.container = container;
    device.groupOpen = true;
    this.#used = [...this.#used.filter((other) => other !== device), device];
  }

  /**
   * VFIO_GROUP_UNSET_CONTAINER.
   *
   * @param device the device
   * @throws {KernelError} EBADF when the group is not open; EINVAL when it is in no container; EBUSY
   *   while the device is open
   */
  unset(device: GuestDevice): void {
    if (!device.groupOpen) throw new KernelError('ioctl', Errno.EBADF, 'ioctl', NOT_OPEN);
    const [op, at] = ['VFIO_GROUP_UNSET_CONTAINER', 'vfio_group_ioctl_unset_container'];
    if (!device.container) throw new KernelError(op, Errno.EINVAL, at, { joined: false });
    if (device.open) throw new KernelError(op, Errno.EBUSY, at, { openDevices: 1 });
    this.#detach(device);
  }

  /**
   * Closes the device and its group, which leaves its container.
   *
   * @param device the device
   * @throws {KernelError} EBADF when the group is not open
   */
  leave(device: GuestDevice): void {
    if (!device.groupOpen) throw new KernelError('ioctl', Errno.EBADF, 'ioctl', NOT_OPEN);
    this.#closeFile(device);
    this.closeGroup(device);
  }

  /**
   * Closes a group's file. An open device file keeps the group, which leaves its container with it.
   *
   * @param device the device
   */
  closeGroup(device: GuestDevice): void {
    device.groupOpen = false;
    if (device.open) return;
    this.#detach(device);
    this.#used = this.#used.filter((other) => other !== device);
  }

  /** Closes everything, in the order in which the groups joined. */
  closeAll(): void {
    for (const device of [...this.#used]) {
      this.#closeFile(device);
      this.closeGroup(device);
    }
  }

  /**
   * VFIO_GROUP_GET_DEVICE_FD: the group must be in a container that has its IOMMU.
   *
   * @param device the device
   * @returns 0; -EBADF when the group is not open, or in no container
   * @throws {KernelError} EINVAL before VFIO_SET_IOMMU
   */
  openFile(device: GuestDevice): number {
    const { container } = device;
    if (!container || !device.groupOpen) return -Errno.EBADF;
    if (device.open) return 0;
    container.openDevice(device.vfio);
    device.ext?.open(container);
    device.open = true;
    for (const bar of device.bars.values()) bar.enabled = true;
    return 0;
  }

  /**
   * Closes a device's file.
   *
   * @param device the device
   * @returns 0; -EBADF when it is not open
   */
  closeFile(device: GuestDevice): number {
    if (!device.open) return -Errno.EBADF;
    this.#closeFile(device);
    if (!device.groupOpen) this.closeGroup(device);
    return 0;
  }

  /**
   * Writes the PCI command register. Taking memory decoding away unmaps the BARs; accesses and new
   * maps then fail.
   *
   * @param device the device
   * @param value what is written
   * @param mm address space of the process
   * @returns 0; -EBADF when the device is not open
   */
  writeCommand(device: GuestDevice, value: number, mm: MmStruct): number {
    if (!device.open) return -Errno.EBADF;
    const enabled = (value & PCI_COMMAND_MEMORY) !== 0;
    for (const bar of device.bars.values()) {
      bar.enabled = enabled;
      for (const vma of enabled ? [] : [...mm.vmas]) {
        if (vma.ops === bar) zapRange(mm, vma.start, vma.end);
      }
    }
    return 0;
  }

  /**
   * A BAR of an open device.
   *
   * @param alias alias of the device
   * @param number number of the BAR
   * @returns the BAR, or a negative errno
   * @throws {InputError} when the machine has no such device
   */
  barOf(alias: string, number: number): PciBar | number {
    const device = this.get(alias);
    if (!device.open) return -Errno.EBADF;
    return device.bars.get(number) ?? -Errno.EINVAL;
  }

  /**
   * The BAR that a file of sysfs stands for.
   *
   * @param path the file
   * @returns the BAR; undefined for any other file
   */
  resourceAt(path: string): PciBar | undefined {
    const found = resourceOf(path);
    return found && this.#devices.get(found.dev)?.bars.get(found.bar);
  }

  #closeFile(device: GuestDevice): void {
    if (!device.open) return;
    device.ext?.close();
    device.container?.closeDevice(device.vfio);
    device.open = false;
  }

  #detach(device: GuestDevice): void {
    device.container?.removeGroup(device.vfio.group);
    device.container = null;
  }
}

const NOT_OPEN = { group: 'not open' };
