/**
 * The container that the process has open, and the groups and device files that it opens and closes.
 *
 * @source drivers/vfio/container.c, drivers/vfio/group.c, 6.16; recordings README, "Scenario language"
 */
import { Errno, KernelError } from '@pinfold/base';
import { VfioContainer, type ContainerOptions } from '@pinfold/vfio-type1';
import type { GuestDevices } from './guest-devices.ts';
import type { GuestProcess } from '../process/guest-process.ts';

/** Makes the calls of a machine's process that open and close. */
export class VfioCalls {
  readonly #options: ContainerOptions;
  readonly #process: GuestProcess;
  readonly #devices: GuestDevices;
  #container: VfioContainer | null = null;

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

  /** The container that was opened last; null when none is open. */
  get container(): VfioContainer | null {
    return this.#container;
  }

  /**
   * The container that is open.
   *
   * @returns the container
   * @throws {KernelError} EBADF if none is
   */
  needContainer(): VfioContainer {
    if (this.#container) return this.#container;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', { container: 'not open' });
  }

  /** Closes every device, group and container. */
  closeAll(): void {
    this.#devices.closeAll();
    this.#container = null;
  }

  /** Opens a container. */
  openContainer(): void {
    this.#container = new VfioContainer(this.#options);
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
