/**
 * The devices of the machine as the process uses them: group files, device files and BARs, of PCI
 * devices behind the IOMMU and of emulated ones.
 *
 * @source drivers/vfio/group.c, drivers/vfio/container.c, 6.16; README-extpin, "Operations"
 */
import { Errno, InputError, KernelError } from '@pinfold/base';
import type { IommuUnit } from '@pinfold/iommu';
import { PciBar, zapRange, type MmStruct, type Task } from '@pinfold/mm';
import { VfioContainer, type IommuGroup, type VfioDevice } from '@pinfold/vfio-type1';
import type { GuestContainer } from './compat-container.ts';
import type { ExtpinDevice, ExtpinDriver } from './extpin-driver.ts';
import type { BarLookup } from '../process/guest-process.ts';
import type { MachineDescription } from '../machine/machine-description.ts';
import { OpenFiles } from './open-files.ts';
import { resourceOf } from './sysfs-bar.ts';

/** Bit of PCI_COMMAND that lets a device decode memory accesses. */
const PCI_COMMAND_MEMORY = 2;

/** Requester of the first device, 00:04.0, and from one device to the next. */
const [FIRST_REQUESTER, FUNCTIONS] = [0x20, 8];

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
  container: GuestContainer | null;
  /** Whether it is open by its own device file, and bound to an iommufd. */
  bound: boolean;
  /** Whether anybody has its group's file open: no process can open it again (opened_file). */
  groupOpen: boolean;
  /** Whether anybody has its device file open, or has one of its BARs mapped (open_count > 0). */
  open: boolean;
}

/** All devices of the machine. */
export class GuestDevices implements BarLookup {
  readonly #devices: ReadonlyMap<string, GuestDevice>;
  readonly #addressSpaces: () => readonly MmStruct[];
  /** Files of the process. */
  readonly #files = new OpenFiles();
  /** Files of its children, the last one forked at the end. */
  readonly #children: OpenFiles[] = [];
  /** Devices whose group's file is open anywhere, in the order in which they joined. */
  readonly #alive = new Set<GuestDevice>();

  /**
   * @param machine the PCI devices, and which IOMMU serves them
   * @param units the IOMMUs by name
   * @param driver the emulated devices
   * @param addressSpaces those of the process and its children: a BAR that is mapped in one keeps
   *   its device open
   */
  constructor(
    machine: Pick<MachineDescription, 'devices' | 'iommus'>,
    units: ReadonlyMap<string, IommuUnit>,
    driver: ExtpinDriver,
    addressSpaces: () => readonly MmStruct[],
  ) {
    this.#addressSpaces = addressSpaces;
    const closed = { container: null, bound: false, groupOpen: false, open: false };
    const pci = Object.entries(machine.devices);
    const behindIommu = pci.map(([name, { iommu, bars }], at): [string, GuestDevice] => {
      const unit = units.get(iommu);
      if (!unit) {
        const known = [...units.keys()].join(', ');
        throw new InputError(`device ${name}: iommu`, `one of ${known}`, `'${iommu}'`);
      }
      const { firstDeviceDomain: firstDomain } = machine.iommus[iommu] ?? {};
      const requester = FIRST_REQUESTER + at * FUNCTIONS;
      const served = pci.slice(0, at).filter(([, other]) => other.iommu === iommu).length;
      const device = { requester, defaultDomain: (firstDomain ?? 0) + served };
      const group = { name, unit, ...(firstDomain !== undefined && { device }) };
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
  get containers(): readonly GuestContainer[] {
    const found: GuestContainer[] = [];
    for (const { container } of this.#alive) {
      if (container && !found.includes(container)) found.push(container);
    }
    return found;
  }

  /** The first group behind an IOMMU that has joined, of those that the process has open. */
  get firstPci(): GuestDevice | undefined {
    const joined = [...this.#files.groups];
    return joined.find(({ iommuGroup, container }) => iommuGroup !== null && container);
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
   * Opens a group, whose file may be open once at a time, and puts it into a container. A group that
   * the container refuses is closed again.
   *
   * @param device the device
   * @param container finds the container; it may throw EBADF
   * @param current the process
   * @throws {KernelError} EBUSY when the group is open, in a child or kept by its device too; what
   *   VFIO_GROUP_SET_CONTAINER gives
   */
  join(device: GuestDevice, container: () => GuestContainer, current: Task): void {
    this.openGroup(device);
    try {
      this.setContainer(device, container(), current);
    } catch (error) {
      this.closeGroup(device);
      throw error;
    }
  }

  /**
   * Opens a group's file.
   *
   * @param device the device
   * @throws {KernelError} EBUSY when the group is open, in a child or kept by its device too
   * @source drivers/vfio/group.c vfio_group_fops_open, 6.16
   */
  openGroup(device: GuestDevice): void {
    if (device.groupOpen) throw new KernelError('open', Errno.EBUSY, 'vfio_group_fops_open', {});
    device.groupOpen = true;
    this.#files.groups.add(device);
    this.#alive.add(device);
  }

  /**
   * VFIO_GROUP_SET_CONTAINER.
   *
   * @param device the device
   * @param container the container
   * @param current the process
   * @throws {KernelError} EBADF when the process has not opened the group; EINVAL when it is in a
   *   container; what attaching it to the container's domains gives
   * @source drivers/vfio/group.c vfio_group_ioctl_set_container, 6.16
   */
  setContainer(device: GuestDevice, container: GuestContainer, current: Task): void {
    this.#needGroup(device);
    if (device.container) {
      const [op, at] = ['VFIO_GROUP_SET_CONTAINER', 'vfio_group_ioctl_set_container'];
      throw new KernelError(op, Errno.EINVAL, at, { joined: true });
    }
    container.addGroup(device.vfio.group, current);
    device.container = container;
  }

  /**
   * VFIO_GROUP_GET_STATUS.
   *
   * @param device the device
   * @returns VFIO_GROUP_FLAGS_VIABLE, with VFIO_GROUP_FLAGS_CONTAINER_SET when it is in a container
   * @throws {KernelError} EBADF when the process has not opened the group
   * @source drivers/vfio/group.c vfio_group_ioctl_get_status, 6.16: a group that is in a container
   *   owns its DMA, so that it is viable
   */
  groupStatus(device: GuestDevice): number {
    this.#needGroup(device);
    return VFIO_GROUP_FLAGS_VIABLE | (device.container ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
  }

  /**
   * VFIO_GROUP_UNSET_CONTAINER.
   *
   * @param device the device
   * @throws {KernelError} EBADF when the process has not opened the group; EINVAL when it is in no
   *   container; EBUSY while the device is open
   * @source drivers/vfio/group.c vfio_group_ioctl_unset_container, 6.16
   */
  unset(device: GuestDevice): void {
    this.#needGroup(device);
    const [op, at] = ['VFIO_GROUP_UNSET_CONTAINER', 'vfio_group_ioctl_unset_container'];
    if (!device.container) throw new KernelError(op, Errno.EINVAL, at, { joined: false });
    if (device.open) throw new KernelError(op, Errno.EBUSY, at, { openDevices: 1 });
    this.#detach(device);
  }

  /**
   * Closes the device's file, takes the group out of its container, and closes the group's file
   * whether or not it could leave.
   *
   * @param device the device
   * @throws {KernelError} EBADF when the process has not opened the group; what {@link unset} throws
   */
  leave(device: GuestDevice): void {
    this.#needGroup(device);
    this.closeFile(device);
    try {
      this.unset(device);
    } finally {
      this.closeGroup(device);
    }
  }

  /**
   * Closes a group's file. A device that is open keeps it, and so does a child; when nobody has it
   * open any more, the group leaves its container.
   *
   * @param device the device
   */
  closeGroup(device: GuestDevice): void {
    this.#files.groups.delete(device);
    this.#release(device);
  }

  /**
   * Closes a group's file on its own.
   *
   * @param device the device
   * @returns 0; -EBADF when the process has not opened it
   */
  closeGroupFile(device: GuestDevice): number {
    if (!this.#files.groups.has(device)) return -Errno.EBADF;
    this.closeGroup(device);
    return 0;
  }

  /** Closes everything that the process has open, in the order in which the groups joined. */
  closeAll(): void {
    for (const device of [...this.#files.groups]) {
      this.closeFile(device);
      this.closeGroup(device);
    }
  }

  /** A child is forked: it has open what the process has. */
  fork(): void {
    this.#children.push(this.#files.copy());
  }

  /** The child that was forked last ends. */
  reap(): void {
    this.#children.pop();
    this.releaseUnheld();
  }

  /** The process and its children have ended, and their memory has gone. */
  exit(): void {
    this.#children.length = 0;
    this.releaseUnheld();
  }

  /** Closes what nobody holds any more, after memory was unmapped or a child has ended. */
  releaseUnheld(): void {
    for (const device of [...this.#alive]) this.#release(device);
  }

  /**
   * VFIO_GROUP_GET_DEVICE_FD: the group must be in a container that has its IOMMU.
   *
   * @param device the device
   * @returns 0; -EBADF when the process has not opened the group
   * @throws {KernelError} EINVAL when the group is in no container, and before VFIO_SET_IOMMU
   */
  openFile(device: GuestDevice): number {
    const { container } = device;
    if (!this.#files.groups.has(device)) return -Errno.EBADF;
    if (this.#files.devices.has(device)) return 0;
    if (!container) {
      const [op, at] = ['VFIO_GROUP_GET_DEVICE_FD', 'vfio_df_group_open'];
      throw new KernelError(op, Errno.EINVAL, at, { joined: false });
    }
    if (!device.open) {
      container.openDevice(device.vfio);
      if (container instanceof VfioContainer) device.ext?.open(container);
      device.open = true;
      for (const bar of device.bars.values()) bar.enabled = true;
    }
    this.#files.devices.add(device);
    return 0;
  }

  /**
   * Closes a device's file. A child that has it, and a BAR that is mapped, keep the device open.
   *
   * @param device the device
   * @returns 0; -EBADF when the process has not opened it
   */
  closeFile(device: GuestDevice): number {
    if (!this.#files.devices.delete(device)) return -Errno.EBADF;
    this.#release(device);
    return 0;
  }

  /**
   * Writes the PCI command register of a device, which is opened if it is not. Taking memory decoding away unmaps the BARs; accesses and new
   * maps then fail.
   *
   * @param device the device
   * @param value what is written
   * @param mm address space of the process
   * @returns 0; -EBADF when the device cannot be opened
   */
  writeCommand(device: GuestDevice, value: number, mm: MmStruct): number {
    if (!this.#opens(device)) return -Errno.EBADF;
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
   * A BAR of a device, which is opened if it is not.
   *
   * @param alias alias of the device
   * @param number number of the BAR
   * @returns the BAR; -EBADF when the device cannot be opened, -EINVAL when it has no such BAR
   * @throws {InputError} when the machine has no such device
   */
  barOf(alias: string, number: number): PciBar | number {
    const device = this.get(alias);
    if (!this.#opens(device)) return -Errno.EBADF;
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

  /** Closes the device if nobody holds it, and then its group, which the device has kept open. */
  #release(device: GuestDevice): void {
    if (device.open && !this.#holdsDevice(device)) {
      device.ext?.close();
      device.container?.closeDevice(device.vfio);
      device.open = false;
    }
    if (device.open || !device.groupOpen || this.#holdsGroup(device)) return;
    this.#detach(device);
    device.groupOpen = false;
    this.#alive.delete(device);
  }

  #holdsGroup(device: GuestDevice): boolean {
    return [this.#files, ...this.#children].some(({ groups }) => groups.has(device));
  }

  /** Every mapping of a BAR holds the device file that it was made of (vm_file). */
  #holdsDevice(device: GuestDevice): boolean {
    if ([this.#files, ...this.#children].some(({ devices }) => devices.has(device))) return true;
    const bars = new Set<unknown>(device.bars.values());
    return (
      bars.size > 0 &&
      this.#addressSpaces().some(({ vmas }) => [...vmas].some(({ ops }) => bars.has(ops)))
    );
  }

  /** Opens the device's file if it is not open, as the program does for a BAR and its registers. */
  #opens(device: GuestDevice): boolean {
    if (device.bound) return true;
    try {
      return this.openFile(device) === 0;
    } catch (error) {
      if (error instanceof KernelError) return false;
      throw error;
    }
  }

  #needGroup(device: GuestDevice): void {
    if (this.#files.groups.has(device)) return;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', NOT_OPEN);
  }

  #detach(device: GuestDevice): void {
    device.container?.removeGroup(device.vfio.group);
    device.container = null;
  }
}

/** What VFIO_GROUP_GET_STATUS returns, @see include/uapi/linux/vfio.h. */
const [VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_FLAGS_CONTAINER_SET] = [1, 2];

const NOT_OPEN = { group: 'not open' };
