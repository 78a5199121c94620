/**
 * The containers that the process has open, and the groups and device files that it opens and closes.
 *
 * @source drivers/vfio/container.c, drivers/vfio/group.c, 6.16; recordings README, "Scenario language"
 */
import { Errno, InputError, KernelError } from '@pinfold/base';
import { VfioContainer, type ContainerOptions } from '@pinfold/vfio-type1';
import type { GuestIommufd } from '../iommufd/guest-iommufd.ts';
import { CompatContainer, type GuestContainer } from './compat-container.ts';
import type { GuestDevices } from './guest-devices.ts';
import type { GuestProcess } from '../process/guest-process.ts';

/** Name of a container that nobody has named. */
const DEFAULT_CONTAINER = 'C';

/** Makes the calls of a machine's process that open and close. */
export class VfioCalls {
  readonly #options: ContainerOptions;
  readonly #process: GuestProcess;
  readonly #devices: GuestDevices;
  readonly #containers = new Map<string, GuestContainer>();
  /** What answers for containers in place of type1; null: type1. */
  readonly #iommufd: GuestIommufd | null;
  /** Whether a device is opened with its group, as the recording program can. */
  readonly #opensDevices: boolean;
  #current = DEFAULT_CONTAINER;

  /**
   * @param options what containers are opened with
   * @param process the process
   * @param devices the devices
   * @param iommufd what answers for containers in place of type1; null: type1
   * @param opensDevices whether a device is opened with its group
   */
  constructor(
    options: ContainerOptions,
    process: GuestProcess,
    devices: GuestDevices,
    iommufd: GuestIommufd | null = null,
    opensDevices = false,
  ) {
    this.#iommufd = iommufd;
    this.#opensDevices = opensDevices;
    this.#options = options;
    this.#process = process;
    this.#devices = devices;
  }

  /** The container that calls are made on: the last that was opened or chosen; null when it is closed. */
  get container(): GuestContainer | null {
    return this.#containers.get(this.#current) ?? null;
  }

  /**
   * The container that is open.
   *
   * @returns the container
   * @throws {KernelError} EBADF if none is
   */
  needContainer(): GuestContainer {
    if (this.container) return this.container;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', { container: 'not open' });
  }

  /** Closes every device, group and container. */
  closeAll(): void {
    this.#devices.closeAll();
    for (const container of this.#containers.values()) closeFile(container);
    this.#containers.clear();
    this.#current = DEFAULT_CONTAINER;
  }

  /**
   * Opens a container, which the calls that follow are made on.
   *
   * @param name its name
   */
  openContainer(name: string = DEFAULT_CONTAINER): void {
    const iommufd = this.#iommufd?.openContainer();
    const container = iommufd
      ? new CompatContainer(iommufd, () => this.#process.task)
      : new VfioContainer(this.#options);
    this.#containers.set(name, container);
    this.#current = name;
  }

  /**
   * The calls that follow are made on a container that is open.
   *
   * @param name its name
   * @throws {InputError} when no container of that name is open
   */
  useContainer(name: string): void {
    if (!this.#containers.has(name)) {
      const known = [...this.#containers.keys()].join(', ');
      throw new InputError(`name=${name}`, known ? `one of ${known}` : 'an open container', 'none');
    }
    this.#current = name;
  }

  /**
   * Closes the file of the container that calls are made on. The groups in it keep what it has mapped.
   *
   * @throws {KernelError} EBADF if none is open
   * @source drivers/vfio/container.c vfio_fops_release, vfio_group_detach_container, 6.16
   */
  closeContainer(): void {
    closeFile(this.needContainer());
    this.#containers.delete(this.#current);
  }

  /**
   * The group of a device joins the container.
   *
   * @param alias alias of the device
   * @throws {KernelError} what the kernel returns
   * @throws {InputError} when the machine has no such device
   */
  join(alias: string): void {
    const { task } = this.#process;
    this.#devices.join(this.#devices.get(alias), () => this.needContainer(), task);
  }

  /**
   * A device is opened with its group, where the program does that.
   *
   * @param alias alias of the device
   * @returns whether it is open then; nothing where the program does not try
   */
  openWithGroup(alias: string): { readonly device_opened?: boolean } {
    if (!this.#opensDevices) return {};
    try {
      return { device_opened: this.#devices.openFile(this.#devices.get(alias)) === 0 };
    } catch (error) {
      if (error instanceof KernelError) return { device_opened: false };
      throw error;
    }
  }
}

/** An iommufd has its own end; type1 ends with the last group. */
function closeFile(container: GuestContainer): void {
  if (container instanceof CompatContainer) container.closeFile();
}
