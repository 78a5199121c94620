/**
 * The container that the process has open, and the groups and device files that it opens and closes.
 *
 * @source drivers/vfio/container.c, drivers/vfio/group.c, 6.16; recordings README, "Scenario language"
 */
import { Errno, KernelError } from '@pinfold/base';
import { VfioContainer, type ContainerOptions } from '@pinfold/vfio-type1';
import type { GuestDevices } from './guest-devices.ts';
import type { GuestProcess } from '../process/guest-process.ts';
import type { Done } from '../machine/guest.ts';
import type { Operation } from '../operations/operation.ts';

const IOMMU_TYPES = { v1: 1, v2: 3, nesting: 6 } as const;

/** Operations of the container, its groups and their devices, but for `close`, which ends them all. */
export type VfioOperation = Extract<
  Operation,
  {
    op:
      | 'open'
      | 'opencontainer'
      | 'setiommu'
      | 'addgroup'
      | 'delgroup'
      | 'device'
      | 'closedev'
      | 'addext'
      | 'delext'
      | 'unset'
      | 'pcicmd';
  }
>;

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

  /**
   * Does one operation.
   *
   * @param operation the operation
   * @returns 0, or a negative errno
   * @throws {KernelError} what the kernel returns
   * @throws {InputError} when the machine has no such device
   */
  perform(operation: VfioOperation): Done {
    switch (operation.op) {
      case 'open':
        this.#open();
        this.#join(operation.dev);
        this.needContainer().setIommu(IOMMU_TYPES[operation.type]);
        return { code: 0 };
      case 'opencontainer':
        this.#open();
        return { code: 0 };
      case 'setiommu':
        this.needContainer().setIommu(operation.type);
        return { code: 0 };
      case 'addgroup':
        this.#join(operation.dev);
        return { code: 0 };
      case 'delgroup':
        this.#devices.leave(this.#devices.get(operation.dev));
        return { code: 0 };
      case 'device':
        return { code: this.#devices.openFile(this.#devices.get(operation.dev)) };
      case 'closedev':
        return { code: this.#devices.closeFile(this.#devices.get(operation.dev)) };
      case 'addext':
        this.#join(operation.dev);
        return { code: this.#devices.openFile(this.#devices.get(operation.dev)) };
      case 'unset':
        this.#devices.unset(this.#devices.get(operation.dev));
        return { code: 0 };
      case 'delext':
        return this.#removeExternal(operation);
      case 'pcicmd': {
        const { mm } = this.#process.task;
        const device = this.#devices.get(operation.dev);
        return { code: this.#devices.writeCommand(device, operation.val, mm) };
      }
    }
  }

  /** Closes every device, group and container. */
  closeAll(): void {
    this.#devices.closeAll();
    this.#container = null;
  }

  #open(): void {
    this.#container = new VfioContainer(this.#options);
  }

  #join(alias: string): void {
    const { task } = this.#process;
    this.#devices.join(this.#devices.get(alias), () => this.needContainer(), task);
  }

  /** The group's file stays open when the group could not leave its container. */
  #removeExternal({ dev, keepfd }: Extract<Operation, { op: 'delext' }>): Done {
    const device = this.#devices.get(dev);
    if (!keepfd) this.#devices.closeFile(device);
    this.#devices.unset(device);
    this.#devices.closeGroup(device);
    return { code: 0 };
  }
}
