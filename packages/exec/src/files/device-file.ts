/**
 * A device: its regions, interrupts and registers. The BARs are memory of a file, the interrupts never
 * come.
 *
 * @source include/uapi/linux/vfio.h; drivers/vfio/pci/vfio_pci_core.c, 6.16
 */
import { readSync, writeSync } from 'node:fs';
import { decodeStruct, encodeStruct, ioctlsOf, structLayout } from '@pinfold/uapi';
import type { ExecDevice } from '../devices.ts';
import type { MirroredMemory } from '../mirrored-memory.ts';
import type { ExecModel } from '../model.ts';
import type { Reply } from '../protocol.ts';
import { IommufdFile } from './iommufd-file.ts';
import { ERRNO, returned, type AccessCall, type IoctlCall, type VfioFile } from './vfio-file.ts';

/** VFIO_PCI_OFFSET_SHIFT: where a region begins in the device's file. */
const REGION_SHIFT = 40n;
const [CONFIG_REGION, VGA_REGION, REGIONS] = [7, 8, 9];
const [IRQ_INTX, IRQ_MSIX, IRQ_ERR, IRQS] = [0, 2, 3, 5];
const DEVICE_FLAGS = { RESET: 1, PCI: 2 };
const REGION_FLAGS = { READ: 1, WRITE: 2, MMAP: 4 };
const IRQ_FLAGS = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 };
const DEVICE_MINSZ = structLayout('vfio_device_info').fields[4]?.offset ?? 16;
const REGION_INFO = structLayout('vfio_region_info').size;
const IRQ_INFO = structLayout('vfio_irq_info').size;
/** Bytes of the structures that every caller has: up to the device's id, and to the page table's. */
const [BIND, ATTACH] = [16, 12];
/** EBADF, of a descriptor that is no file of the model. */
const EBADFD = 9;
/** Offset and bytes of the command register in the configuration space. */
const [COMMAND, COMMAND_END] = [4, 6];

/** A device that the program has open. */
export class DeviceFile implements VfioFile {
  readonly name: string;
  readonly kinds = ['device'] as const;
  readonly #model: ExecModel;
  readonly #device: ExecDevice;
  /** Whether it was opened by its own node, and not by its group. */
  readonly #isCdev: boolean;
  #isBound = false;

  /**
   * @param model the model, which has opened the device by its group, or will when it is bound
   * @param device the device
   * @param isCdev whether the program has opened it by its own node
   */
  constructor(model: ExecModel, device: ExecDevice, isCdev = false) {
    this.#model = model;
    this.#device = device;
    this.#isCdev = isCdev;
    this.name = device.address;
    if (!isCdev) device.files += 1;
  }

  ioctl(call: IoctlCall): Reply | null {
    const [known] = ioctlsOf(call.command, 'device');
    // Before it is bound nothing else is allowed.
    const isBind = known?.name === 'VFIO_DEVICE_BIND_IOMMUFD';
    if (this.#isCdev && !this.#isBound && !isBind) return returned(-ERRNO.EINVAL);
    switch (known?.name) {
      case 'VFIO_DEVICE_BIND_IOMMUFD':
        return this.#bind(call);
      case 'VFIO_DEVICE_ATTACH_IOMMUFD_PT':
        return this.#attach(call);
      case 'VFIO_DEVICE_DETACH_IOMMUFD_PT':
        return this.#detach();
      case 'VFIO_DEVICE_GET_INFO':
        return this.#getInfo(call);
      case 'VFIO_DEVICE_GET_REGION_INFO':
        return this.#getRegionInfo(call);
      case 'VFIO_DEVICE_GET_IRQ_INFO':
        return getIrqInfo(call);
      case 'VFIO_DEVICE_SET_IRQS':
      case 'VFIO_DEVICE_RESET':
        return returned(0);
      default:
        return null;
    }
  }

  closed(): void {
    if (this.#isCdev) {
      if (this.#isBound) this.#model.perform({ op: 'unbind', dev: this.#device.alias });
      return;
    }
    this.#device.files -= 1;
    if (this.#device.files > 0) return;
    this.#model.perform({ op: 'closedev', dev: this.#device.alias });
  }

  mappable(offset: bigint, size: bigint): { path: string; offset: number } | number {
    const index = Number(offset >> REGION_SHIFT);
    const bar = this.#device.bars.get(index);
    const at = offset & ((1n << REGION_SHIFT) - 1n);
    if (!bar || at + size > BigInt(bar.bytes)) return -ERRNO.EINVAL;
    return { path: bar.path, offset: Number(at) };
  }

  mapped(memory: MirroredMemory, va: bigint, offset: bigint, size: bigint, prot: number): void {
    const bar = Number(offset >> REGION_SHIFT);
    const off = offset & ((1n << REGION_SHIFT) - 1n);
    const letters = `${prot & 1 ? 'r' : ''}${prot & 2 ? 'w' : ''}`;
    const { alias: dev } = this.#device;
    memory.mapDevice(va, { kind: 'bar', size, prot: letters, dev, bar, off });
  }

  access(call: AccessCall, writes: boolean): Reply {
    const index = Number(call.offset >> REGION_SHIFT);
    const at = Number(call.offset & ((1n << REGION_SHIFT) - 1n));
    const { config, bars } = this.#device;
    const bar = bars.get(index);
    const limit = index === CONFIG_REGION ? config.length : (bar?.bytes ?? 0);
    if (limit === 0) return returned(-ERRNO.EINVAL);
    const size = Math.min(call.size, limit - at);
    if (size <= 0) return returned(-ERRNO.EINVAL);
    if (!writes) {
      const bytes = index === CONFIG_REGION ? config.subarray(at, at + size) : Buffer.alloc(size);
      if (bar && index !== CONFIG_REGION) readSync(bar.fd, bytes, 0, size, at);
      return returned(size, [{ address: call.address, bytes }]);
    }
    if (bar && index !== CONFIG_REGION) writeSync(bar.fd, call.bytes, 0, size, at);
    else this.#writeConfig(at, call.bytes.subarray(0, size));
    return returned(size);
  }

  #bind({ bytes, argument, other }: IoctlCall): Reply {
    if (!this.#isCdev) return returned(-ERRNO.ENOTTY);
    if (bytes.length < BIND) return returned(-ERRNO.EFAULT);
    const { argsz, flags } = decodeStruct('vfio_device_bind_iommufd', bytes);
    if (argsz < BIND || flags !== 0 || this.#isBound) return returned(-ERRNO.EINVAL);
    if (!(other instanceof IommufdFile)) return returned(other ? -ERRNO.EINVAL : -EBADFD);
    const done = this.#model.perform({ op: 'bind', dev: this.#device.alias });
    if (done.code < 0) return returned(done.code);
    this.#isBound = true;
    const id = Buffer.alloc(4);
    id.writeUInt32LE(done.devid ?? 0);
    return returned(0, [{ address: argument + 12n, bytes: id }]);
  }

  #attach({ bytes, argument }: IoctlCall): Reply {
    if (!this.#isCdev) return returned(-ERRNO.ENOTTY);
    if (bytes.length < ATTACH) return returned(-ERRNO.EFAULT);
    const { argsz, flags, pt_id: pt } = decodeStruct('vfio_device_attach_iommufd_pt', bytes);
    if (argsz < ATTACH || flags !== 0) return returned(-ERRNO.EINVAL);
    const done = this.#model.perform({ op: 'attach', dev: this.#device.alias, pt: String(pt) });
    if (done.code < 0) return returned(done.code);
    const id = Buffer.alloc(4);
    id.writeUInt32LE(pt);
    return returned(0, [{ address: argument + 8n, bytes: id }]);
  }

  #detach(): Reply {
    if (!this.#isCdev) return returned(-ERRNO.ENOTTY);
    return returned(this.#model.perform({ op: 'detach', dev: this.#device.alias }).code);
  }

  /** Of the configuration space the command register alone is written. */
  #writeConfig(at: number, bytes: Buffer): void {
    const { config } = this.#device;
    const before = config.readUInt16LE(COMMAND);
    for (const [i, byte] of bytes.entries()) {
      if (at + i >= COMMAND && at + i < COMMAND_END) config[at + i] = byte;
    }
    const val = config.readUInt16LE(COMMAND);
    if (val !== before) this.#model.perform({ op: 'pcicmd', dev: this.#device.alias, val });
  }

  #getInfo({ bytes, argument }: IoctlCall): Reply {
    if (bytes.length < DEVICE_MINSZ) return returned(-ERRNO.EFAULT);
    const argsz = bytes.readUInt32LE(0);
    if (argsz < DEVICE_MINSZ) return returned(-ERRNO.EINVAL);
    const flags = DEVICE_FLAGS.RESET | DEVICE_FLAGS.PCI;
    const info = { argsz, flags, num_regions: REGIONS, num_irqs: IRQS };
    const out = encodeStruct('vfio_device_info', info);
    return returned(0, [
      { address: argument, bytes: out.subarray(0, Math.min(argsz, out.length)) },
    ]);
  }

  #getRegionInfo({ bytes, argument }: IoctlCall): Reply {
    if (bytes.length < REGION_INFO) return returned(-ERRNO.EFAULT);
    const { argsz, index } = decodeStruct('vfio_region_info', bytes);
    if (argsz < REGION_INFO || index >= REGIONS || index === VGA_REGION) {
      return returned(-ERRNO.EINVAL);
    }
    const bar = this.#device.bars.get(index);
    const size = BigInt(index === CONFIG_REGION ? this.#device.config.length : (bar?.bytes ?? 0));
    const both = size > 0n ? REGION_FLAGS.READ | REGION_FLAGS.WRITE : 0;
    const flags = both | (bar ? REGION_FLAGS.MMAP : 0);
    const offset = BigInt(index) << REGION_SHIFT;
    const out = encodeStruct('vfio_region_info', { argsz, flags, index, size, offset });
    return returned(0, [{ address: argument, bytes: out }]);
  }
}

function getIrqInfo({ bytes, argument }: IoctlCall): Reply {
  if (bytes.length < IRQ_INFO) return returned(-ERRNO.EFAULT);
  const { argsz, index } = decodeStruct('vfio_irq_info', bytes);
  if (argsz < IRQ_INFO || index >= IRQS) return returned(-ERRNO.EINVAL);
  // Conventional PCI devices with INTx and MSI: the other kinds are there without an interrupt.
  if (index === IRQ_ERR) return returned(-ERRNO.EINVAL);
  const count = index === IRQ_MSIX ? 0 : 1;
  const intx = IRQ_FLAGS.MASKABLE | IRQ_FLAGS.AUTOMASKED;
  const flags = IRQ_FLAGS.EVENTFD | (index === IRQ_INTX ? intx : IRQ_FLAGS.NORESIZE);
  const out = encodeStruct('vfio_irq_info', { argsz, flags, index, count });
  return returned(0, [{ address: argument, bytes: out }]);
}
