/**
 * /dev/vfio/N: a group with one device.
 *
 * @source include/uapi/linux/vfio.h; drivers/vfio/group.c vfio_group_fops_unl_ioctl, 6.16
 */
import { ioctlsOf, structLayout } from '@pinfold/uapi';
import type { ExecModel } from '../model.ts';
import type { Reply } from '../protocol.ts';
import type { ExecDevice } from '../devices.ts';
import { ContainerFile } from './container-file.ts';
import { ERRNO, returned, type IoctlCall, type VfioFile } from './vfio-file.ts';

const STATUS = structLayout('vfio_group_status').size;

/** Asks for a descriptor of a device: its number, with which the program comes back. */
export type NewDeviceFile = (device: ExecDevice) => number;

/** A group that the program has open. */
export class GroupFile implements VfioFile {
  readonly name: string;
  readonly kinds = ['group'] as const;
  readonly #model: ExecModel;
  readonly #device: ExecDevice;
  readonly #newFile: NewDeviceFile;

  /**
   * @param model the model
   * @param device the device of the group, which the model has opened
   * @param newFile makes files of the device
   */
  constructor(model: ExecModel, device: ExecDevice, newFile: NewDeviceFile) {
    this.#model = model;
    this.#device = device;
    this.#newFile = newFile;
    this.name = `/dev/vfio/${device.group}`;
  }

  ioctl(call: IoctlCall): Reply | null {
    const [known] = ioctlsOf(call.command, 'group');
    switch (known?.name) {
      case 'VFIO_GROUP_GET_STATUS':
        return this.#getStatus(call);
      case 'VFIO_GROUP_SET_CONTAINER':
        return this.#setContainer(call);
      case 'VFIO_GROUP_UNSET_CONTAINER':
        return returned(this.#model.perform({ op: 'unset', dev: this.#device.alias }).code);
      case 'VFIO_GROUP_GET_DEVICE_FD':
        return this.#getDeviceFd(call);
      default:
        return null;
    }
  }

  closed(): void {
    this.#model.perform({ op: 'closegroup', dev: this.#device.alias });
  }

  #getStatus({ bytes, argument }: IoctlCall): Reply {
    if (bytes.length < STATUS) return returned(-ERRNO.EFAULT);
    if (bytes.readUInt32LE(0) < STATUS) return returned(-ERRNO.EINVAL);
    const done = this.#model.perform({ op: 'groupstatus', dev: this.#device.alias });
    const flags = Buffer.alloc(4);
    flags.writeUInt32LE(done.flags ?? 0);
    return returned(done.code, [{ address: argument + 4n, bytes: flags }]);
  }

  #setContainer({ bytes, other }: IoctlCall): Reply {
    if (bytes.length < 4) return returned(-ERRNO.EFAULT);
    if (bytes.readInt32LE(0) < 0) return returned(-ERRNO.EINVAL);
    // A descriptor of something else is no container: EINVAL, as of one that is not open EBADF.
    if (!(other instanceof ContainerFile)) return returned(other ? -ERRNO.EINVAL : -EBADF);
    this.#model.useContainer(other.name);
    return returned(this.#model.perform({ op: 'setcontainer', dev: this.#device.alias }).code);
  }

  #getDeviceFd({ bytes }: IoctlCall): Reply {
    const end = bytes.indexOf(0);
    if (end < 0) return returned(-ERRNO.EFAULT);
    if (bytes.toString('latin1', 0, end) !== this.#device.address) return returned(-ERRNO.ENODEV);
    const done = this.#model.perform({ op: 'device', dev: this.#device.alias });
    if (done.code < 0) return returned(done.code);
    return { ret: 0, descriptor: this.#newFile(this.#device) };
  }
}

const EBADF = 9;
