/**
 * The devices of the machine as the process uses them: group files, device files and BARs, of PCI
 * devices behind the IOMMU and of emulated ones.
 *
 * @source drivers/vfio/group.c, drivers/vfio/container.c, 6.16; README-extpin, "Operations"
 */
import { Errno, InputError, KernelError } from '@pinfold/base';
import type { IommuUnit } from '@pinfold/iommu';
import { PciBar, zapRange, type MmStruct, type Task } from '@pinfold/mm';
import {
  isNoIommu,
  VfioContainer,
  type IommuGroup,
  type VfioDevice,
  type VfioGroup,
} from '@pinfold/vfio-type1';
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

/** A group of devices: what can be put into a container. */
export class GuestGroup {
  /** What VFIO knows of it. */
  readonly vfio: VfioGroup;
  /** The group if it is behind an IOMMU, else null. */
  readonly iommu: IommuGroup | null;
  /** Devices of it that drivers of the host have: while there is one, no process gets the group. */
  readonly hostDriven: readonly string[];
  /** Its devices. */
  readonly devices: GuestDevice[] = [];
  /** The container that it has joined. */
  container: GuestContainer | null = null;
  /** Whether anybody has its file open: no process can open it again (opened_file). */
  open = false;

  /**
   * @param vfio what VFIO knows of it
   * @param hostDriven devices of it that drivers of the host have; default: none
   */
  constructor(vfio: VfioGroup, hostDriven: readonly string[] = []) {
    this.vfio = vfio;
    this.iommu = 'unit' in vfio ? vfio : null;
    this.hostDriven = hostDriven;
  }
}

/** A device of the machine. */
export class GuestDevice {
  /** What VFIO knows of it. */
  readonly vfio: VfioDevice;
  /** Its group. */
  readonly group: GuestGroup;
  /** The driver's part of an emulated device, else null. */
  readonly ext: ExtpinDevice | null;
  /** Its BARs by number. */
  readonly bars: ReadonlyMap<number, PciBar>;
  /** Whether it is open by its own device file, and bound to an iommufd. */
  bound = false;
  /** Whether anybody has its device file open, or has one of its BARs mapped (open_count > 0). */
  open = false;

  /**
   * @param vfio what VFIO knows of it
   * @param group its group, which has it from now on
   * @param bars its BARs by number
   * @param ext the driver's part of an emulated device, else null
   */
  constructor(
    vfio: VfioDevice,
    group: GuestGroup,
    bars: ReadonlyMap<number, PciBar> = new Map<number, PciBar>(),
    ext: ExtpinDevice | null = null,
  ) {
    this.vfio = vfio;
    this.group = group;
    this.bars = bars;
    this.ext = ext;
    group.devices.push(this);
  }

  /** Its group if that is behind an IOMMU, else null. */
  get iommuGroup(): IommuGroup | null {
    return this.group.iommu;
  }

  /** The container that its group has joined. */
  get container(): GuestContainer | null {
    return this.group.container;
  }
}

/** All devices of the machine. */
export class GuestDevices implements BarLookup {
  readonly #devices: ReadonlyMap<string, GuestDevice>;
  readonly #addressSpaces: () => readonly MmStruct[];
  /** Files of the process. */
  readonly #files = new OpenFiles();
  /** Files of its children, the last one forked at the end. */
  readonly #children: OpenFiles[] = [];
  /** Groups whose file is open anywhere, in the order in which they joined. */
  readonly #alive = new Set<GuestGroup>();

  /**
   * @param machine the PCI devices, and which IOMMU serves them
   * @param units the IOMMUs by name
   * @param driver the emulated devices
   * @param addressSpaces those of the process and its children: a BAR that is mapped in one keeps
   *   its device open
   */
  constructor(
    machine: Pick<MachineDescription, 'devices' | 'iommus' | 'hostDriven'>,
    units: ReadonlyMap<string, IommuUnit>,
    driver: ExtpinDriver,
    addressSpaces: () => readonly MmStruct[],
  ) {
    this.#addressSpaces = addressSpaces;
    const emulated = [...driver.devices].map(([name, ext]): [string, GuestDevice] => {
      return [name, new GuestDevice(ext, new GuestGroup(ext.group), new Map(), ext)];
    });
    this.#devices = new Map([...pciDevices(machine, units), ...emulated]);
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
  get firstPci(): GuestGroup | undefined {
    const joined = [...this.#files.groups];
    return joined.find(({ iommu, container }) => iommu !== null && container);
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
   * @throws {KernelError} what {@link openGroup} and {@link setContainer} give
   */
  join(device: GuestDevice, container: () => GuestContainer, current: Task): void {
    this.openGroup(device, current);
    try {
      this.setContainer(device, container(), current);
    } catch (error) {
      this.closeGroup(device.group);
      throw error;
    }
  }

  /**
   * Opens a group's file.
   *
   * @param device a device of the group
   * @param current the process
   * @throws {KernelError} EPERM when the group has no IOMMU and the process not CAP_SYS_RAWIO; EBUSY
   *   when the group is open, in a child or kept by its device too
   * @source drivers/vfio/group.c vfio_group_fops_open, 6.16
   */
  openGroup({ group }: GuestDevice, current: Task): void {
    const at = 'vfio_group_fops_open';
    if (isNoIommu(group.vfio) && !current.capSysRawio)
      throw new KernelError('open', Errno.EPERM, at, { noIommu: true });
    if (group.open) throw new KernelError('open', Errno.EBUSY, at, {});
    group.open = true;
    this.#files.groups.add(group);
    this.#alive.add(group);
  }

  /**
   * VFIO_GROUP_SET_CONTAINER.
   *
   * @param device a device of the group
   * @param container the container
   * @param current the process
   * @throws {KernelError} EBADF when the process has not opened the group; EINVAL when it is in a
   *   container; EPERM when a driver of the host has a device of the group; what attaching it to the
   *   container's domains gives
   * @source drivers/vfio/group.c vfio_group_ioctl_set_container, drivers/iommu/iommu.c
   *   iommu_group_claim_dma_owner, 6.16
   */
  setContainer(device: GuestDevice, container: GuestContainer, current: Task): void {
    this.#needGroup(device);
    const { group } = device;
    const op = 'VFIO_GROUP_SET_CONTAINER';
    if (group.container) {
      const at = 'vfio_group_ioctl_set_container';
      throw new KernelError(op, Errno.EINVAL, at, { joined: true });
    }
    if (group.hostDriven.length > 0) {
      const detail = { group: group.vfio.name, hostDriven: group.hostDriven.join(' ') };
      throw new KernelError(op, Errno.EPERM, 'iommu_group_claim_dma_owner', detail);
    }
    container.addGroup(group.vfio, current);
    group.container = container;
  }

  /**
   * VFIO_GROUP_GET_STATUS.
   *
   * @param device a device of the group
   * @returns VFIO_GROUP_FLAGS_VIABLE unless a driver of the host has a device of the group, with
   *   VFIO_GROUP_FLAGS_CONTAINER_SET when it is in a container
   * @throws {KernelError} EBADF when the process has not opened the group
   * @source drivers/vfio/group.c vfio_group_ioctl_get_status, 6.16: a group that is in a container
   *   owns its DMA, so that it is viable
   */
  groupStatus(device: GuestDevice): number {
    this.#needGroup(device);
    const { container, hostDriven } = device.group;
    const viable = hostDriven.length > 0 ? 0 : VFIO_GROUP_FLAGS_VIABLE;
    return viable | (container ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
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
    const { group } = device;
    if (!group.container) throw new KernelError(op, Errno.EINVAL, at, { joined: false });
    const openDevices = group.devices.filter(({ open }) => open).length;
    if (openDevices > 0) throw new KernelError(op, Errno.EBUSY, at, { openDevices });
    this.#detach(group);
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
      this.closeGroup(device.group);
    }
  }

  /**
   * Closes a group's file. A device that is open keeps it, and so does a child; when nobody has it
   * open any more, the group leaves its container.
   *
   * @param group the group
   */
  closeGroup(group: GuestGroup): void {
    this.#files.groups.delete(group);
    this.#release(group);
  }

  /**
   * Closes a group's file on its own.
   *
   * @param device a device of the group
   * @returns 0; -EBADF when the process has not opened it
   */
  closeGroupFile({ group }: GuestDevice): number {
    if (!this.#files.groups.has(group)) return -Errno.EBADF;
    this.closeGroup(group);
    return 0;
  }

  /** Closes everything that the process has open, in the order in which the groups joined. */
  closeAll(): void {
    for (const group of [...this.#files.groups]) {
      for (const device of group.devices) this.closeFile(device);
      this.closeGroup(group);
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
    for (const group of [...this.#alive]) this.#release(group);
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
    if (!this.#files.groups.has(device.group)) return -Errno.EBADF;
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
    this.#release(device.group);
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

  /** Closes devices that nobody holds, and then their group, which a device that is open keeps. */
  #release(group: GuestGroup): void {
    for (const device of group.devices) {
      if (!device.open || this.#holdsDevice(device)) continue;
      device.ext?.close();
      group.container?.closeDevice(device.vfio);
      device.open = false;
    }
    if (group.devices.some(({ open }) => open) || !group.open || this.#holdsGroup(group)) return;
    this.#detach(group);
    group.open = false;
    this.#alive.delete(group);
  }

  #holdsGroup(group: GuestGroup): boolean {
    return [this.#files, ...this.#children].some(({ groups }) => groups.has(group));
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

  #needGroup({ group }: GuestDevice): void {
    if (this.#files.groups.has(group)) return;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', NOT_OPEN);
  }

  #detach(group: GuestGroup): void {
    group.container?.removeGroup(group.vfio);
    group.container = null;
  }
}

/** What VFIO_GROUP_GET_STATUS returns, @see include/uapi/linux/vfio.h. */
const [VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_FLAGS_CONTAINER_SET] = [1, 2];

const NOT_OPEN = { group: 'not open' };

/** The devices behind an IOMMU, and those of no-IOMMU groups, in their groups. */
function pciDevices(
  {
    devices,
    iommus,
    hostDriven = {},
  }: Pick<MachineDescription, 'devices' | 'iommus' | 'hostDriven'>,
  units: ReadonlyMap<string, IommuUnit>,
): Map<string, GuestDevice> {
  const groups = new Map<string, GuestGroup>();
  const pci = Object.entries(devices);
  const made = pci.map(([name, description], at): [string, GuestDevice] => {
    const { iommu, bars, group: groupName = name, noIommu = false } = description;
    const unit = units.get(iommu);
    if (!unit && !noIommu) {
      const known = [...units.keys()].join(', ');
      throw new InputError(`device ${name}: iommu`, `one of ${known}`, `'${iommu}'`);
    }
    const { firstDeviceDomain: firstDomain } = iommus[iommu] ?? {};
    const requester = FIRST_REQUESTER + at * FUNCTIONS;
    const served = pci.slice(0, at).filter(([, other]) => other.iommu === iommu).length;
    const device = { requester, defaultDomain: (firstDomain ?? 0) + served };
    const behind = unit && { unit, ...(firstDomain !== undefined && { device }) };
    const vfioGroup: VfioGroup =
      noIommu || !behind ? { noIommu: true, name: groupName } : { name: groupName, ...behind };
    const group = groups.get(groupName) ?? new GuestGroup(vfioGroup, hostDriven[groupName]);
    groups.set(groupName, group);
    const byNumber = new Map(bars.map(({ bar, pfn, npage }) => [bar, new PciBar(pfn, npage)]));
    return [name, new GuestDevice({ name, group: group.vfio }, group, byNumber)];
  });
  return new Map(made);
}
