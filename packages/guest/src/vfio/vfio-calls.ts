/**
 * The containers that the process has open, and the groups and device files that it opens and closes.
 *
 * @source drivers/vfio/container.c, drivers/vfio/group.c, 6.16; recordings README, "Scenario language"
 */
import { Errno, InputError, KernelError } from '@pinfold/base';
import { VfioContainer, type ContainerOptions } from '@pinfold/vfio-type1';
import type { GuestDevices } from './guest-devices.ts';
import type { GuestProcess } from '../process/guest-process.ts';

/** Name of a container that nobody has named. */
const DEFAULT_CONTAINER = 'C';

/** Makes the calls of a machine's process that open and close. */
export class VfioCalls {
  readonly #options: ContainerOptions;
  readonly #process: GuestProcess;
  readonly #devices: GuestDevices;
  readonly #containers = new Map<string, VfioContainer>();
  #current = DEFAULT_CONTAINER;

  /**
   * @param options what containers are opened with
   * @param process the process
   * @param devices the devices
   */
  constructor(options: ContainerOptions, process: GuestProcess, devices: GuestDevices) {
    this.#options = options;
    this.#process = process;
    this.#devices = devices;
  }

  /** The container that calls are made on: the last that was opened or chosen; null when it is closed. */
  get container(): VfioContainer | null {
    return this.#containers.get(this.#current) ?? null;
  }

  /**
   * The container that is open.
   *
   * @returns the container
   * @throws {KernelError} EBADF if none is
   */
  needContainer(): VfioContainer {
    if (this.container) return this.container;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', { container: 'not open' });
  }

  /** Closes every device, group and container. */
  closeAll(): void {
    this.#devices.closeAll();
    this.#containers.clear();
    this.#current = DEFAULT_CONTAINER;
  }

  /**
   * Opens a container, which the calls that follow are made on.
   *
   * @param name its name
   */
  openContainer(name: string = DEFAULT_CONTAINER): void {
    this.#containers.set(name, new VfioContainer(this.#options));
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
    this.needContainer();
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
}
