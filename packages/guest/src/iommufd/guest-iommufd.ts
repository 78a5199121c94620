/**
 * The iommufd that the process has open, the devices that are bound to it, and the accesses of the
 * kernel's test driver.
 *
 * @source README-iofd, "Additional operations"
 */
import { Errno, InputError, KernelError, Slot } from '@pinfold/base';
import type { IommuRules } from '@pinfold/iommu';
import {
  ACCOUNT_MODE,
  Iommufd,
  iommufdRules,
  IommufdCalls,
  IommufdIoas,
  refusalText,
  type DmaBuf,
  type IommufdAccess,
  type IommufdDevice,
} from '@pinfold/iommufd';
import type { Memory, PciBar, Task } from '@pinfold/mm';
import type { Done } from '../machine/guest.ts';
import type { GuestDevice } from '../vfio/guest-devices.ts';

/** A range that the test driver has pinned by an access. */
interface PinnedRange {
  readonly iova: bigint;
  readonly length: bigint;
}

/** The access of the test driver. */
export interface TestAccess {
  /** The access. */
  readonly access: IommufdAccess;
  /** What it has pinned, by name, in the order of pinning. */
  readonly pinned: Map<string, PinnedRange>;
}

/** Where a name or a number of an object is missing: the last IOAS. */
export const LAST_IOAS = '';

/** What the process has of iommufd. */
export class GuestIommufd {
  /** Calls of all iommufds of the machine. */
  readonly calls: IommufdCalls;
  /** The open iommufd; null: none. */
  fd: Iommufd | null = null;
  /** Devices that are bound, in the order of binding. */
  readonly bound: Map<GuestDevice, IommufdDevice> = new Map();
  /** Buffers by name. */
  readonly buffers: Map<string, DmaBuf> = new Map();
  /** The access of the test driver, which keeps the iommufd open. */
  test: TestAccess | null = null;
  /** Who calls, if not the process. */
  caller: Task | null = null;
  /** The place that was chosen last, or asked for. */
  lastIova = 0n;
  /** Whether one was ever opened. */
  used = false;
  readonly #memory: Memory;
  readonly #kernel: { readonly series: string; readonly iommu: IommuRules };
  readonly #names = new Map<string, number>();
  #lastIoas = 0;
  /** Whether the process has closed its file, which an access keeps open. */
  #closed = false;

  /**
   * @param memory the machine's memory
   * @param kernel the kernel: its series, and its rules for IOMMUs
   */
  constructor(memory: Memory, kernel: { readonly series: string; readonly iommu: IommuRules }) {
    this.#memory = memory;
    this.#kernel = kernel;
    this.calls = new IommufdCalls(memory.counters);
  }

  /**
   * Opens /dev/iommu.
   *
   * @returns the iommufd
   * @throws {KernelError} ENOENT where the kernel has none
   */
  open(): Iommufd {
    this.used = true;
    this.#closed = false;
    this.fd = this.#openNode('/dev/iommu');
    return this.fd;
  }

  /**
   * Opens the node of the VFIO container where iommufd serves it: it charges as type1 does.
   *
   * @returns the iommufd
   * @source drivers/iommu/iommufd/main.c iommufd_fops_open, 7.2
   */
  openContainer(): Iommufd {
    this.used = true;
    const fd = this.#openNode('/dev/vfio/vfio');
    fd.accountMode = ACCOUNT_MODE.MM;
    return fd;
  }

  #openNode(path: string): Iommufd {
    const { series, iommu } = this.#kernel;
    const rules = iommufdRules(series);
    if (!rules) throw new KernelError('open', Errno.ENOENT, 'open', { path, exists: false });
    return new Iommufd({ memory: this.#memory, iommu, rules, calls: this.calls });
  }

  /**
   * The open iommufd.
   *
   * @returns the iommufd
   * @throws {KernelError} EBADF if none is open
   */
  need(): Iommufd {
    if (this.fd) return this.fd;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', { iommufd: 'not open' });
  }

  /**
   * A device that is bound.
   *
   * @param device the device
   * @returns what it is to the iommufd
   * @throws {KernelError} EBADF if it is not
   */
  needBound(device: GuestDevice): IommufdDevice {
    const found = this.bound.get(device);
    if (found) return found;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', { device: 'not bound' });
  }

  /**
   * Gives an object a name.
   *
   * @param name the name
   * @param id its id
   * @param isIoas whether it is an IOAS, which operations mean that name none
   */
  name(name: string, id: number, isIoas = false): void {
    this.#names.set(name, id);
    if (isIoas) this.#lastIoas = id;
  }

  /**
   * The id that a name or a number stands for.
   *
   * @param text name, number, or {@link LAST_IOAS}
   * @returns the id
   */
  idOf(text: string): number {
    if (text === LAST_IOAS) return this.#lastIoas;
    return this.#names.get(text) ?? Number(text);
  }

  /**
   * What a call returned, with the check that refused it.
   *
   * @param ret 0 or a negative errno
   * @param shown what else the step shows
   * @returns what the step shows
   */
  done(ret: number, shown: Partial<Done> = {}): Done {
    const refusal = this.fd?.refusal;
    if (ret === 0 || !refusal) return { ...shown, code: ret };
    const [at] = refusal.check.split(':');
    const detail = Object.fromEntries(
      Object.entries(refusal.details).map(([name, value]) => [
        name,
        typeof value === 'bigint' ? `0x${value.toString(16)}` : value,
      ]),
    );
    return {
      ...shown,
      code: ret,
      failure: { at, detail: { ...detail, check: refusalText(refusal) } },
    };
  }

  /**
   * A device's file is closed: its binding ends.
   *
   * @param device the device
   * @returns whether it was bound
   */
  unbind(device: GuestDevice): boolean {
    const found = this.bound.get(device);
    if (!found) return false;
    this.bound.delete(device);
    device.bound = false;
    this.need().unbind(found);
    if (this.bound.size === 0 && this.#closed && !this.test) this.#closeFd();
    return true;
  }

  /**
   * A device is opened and bound.
   *
   * @param device the device
   * @returns what it is to the iommufd
   */
  bind(device: GuestDevice): IommufdDevice {
    const bound = this.need().bind(device.iommuGroup?.unit ?? this.#noUnit(device));
    device.bound = true;
    for (const bar of device.bars.values()) bar.enabled = true;
    this.bound.set(device, bound);
    return bound;
  }

  #noUnit({ vfio }: GuestDevice): never {
    throw new InputError(`dev=${vfio.name}`, 'a device behind an IOMMU', 'an emulated one');
  }

  /**
   * Makes the access of the test driver.
   *
   * @param ioasId the IOAS
   * @param needsPinPages whether it pins pages
   * @returns 0 or a negative errno
   */
  createAccess(ioasId: number, needsPinPages: boolean): number {
    const pinned = new Map<string, PinnedRange>();
    const unmap = (iova: bigint, length: bigint): void => {
      for (const [name, range] of [...pinned]) {
        const apart = range.iova + range.length <= iova || iova + length <= range.iova;
        if (!apart) this.#unpin(name);
      }
    };
    const access = this.need().accessCreate({ needsPinPages, unmap }, ioasId);
    if (typeof access === 'number') return access;
    this.test = { access, pinned };
    return 0;
  }

  /**
   * The access of the test driver.
   *
   * @returns the access, or -EBADF
   */
  needAccess(): IommufdAccess | number {
    return this.test?.access ?? -Errno.EBADF;
  }

  /**
   * The test driver pins a range.
   *
   * @param current the calling process
   * @param range the range, its name, and the address to compare its pages with
   * @returns 0 or a negative errno
   */
  pinAccess(
    current: Task,
    {
      iova,
      length,
      as,
      write,
      va,
    }: PinnedRange & { readonly as: string; readonly write: boolean; readonly va: bigint | null },
  ): number {
    const { test } = this;
    if (!test) return -Errno.EBADF;
    const npage = Number((iova % 4096n) + length + 4095n) / 4096;
    const pages = this.#memory.memmap.pageArray(Math.max(1, Math.floor(npage)));
    const ret = test.access.pinPages(iova, length, pages, write ? 1 : 0, current);
    if (ret !== 0) return ret;
    test.pinned.set(as, { iova, length });
    if (va !== null) this.#comparePages(Math.floor(npage));
    return 0;
  }

  /** The test driver gets each page of the address, and puts it again (get_user_pages_fast). */
  #comparePages(npage: number): void {
    const { counters } = this.#memory;
    counters.add(Slot.folioGrabs, npage);
    counters.add(Slot.folioGrabsFast, npage);
    if (counters.tracer?.details) counters.tracer.repeat('try_grab_folio_fast', npage, 1, 0, 0, 0);
  }

  /**
   * The test driver unpins what it has pinned under a name.
   *
   * @param name the name
   * @returns 0 or -ENOENT
   */
  unpinAccess(name: string): number {
    return this.#unpin(name) ? 0 : -Errno.ENOENT;
  }

  #unpin(name: string): boolean {
    const range = this.test?.pinned.get(name);
    if (!this.test || !range) return false;
    this.test.pinned.delete(name);
    this.test.access.unpinPages(range.iova, range.length);
    return true;
  }

  /**
   * The test driver moves to another IOAS.
   *
   * @param ioasId the IOAS
   * @returns 0 or a negative errno
   */
  replaceAccess(ioasId: number): number {
    if (!this.test) return -Errno.EBADF;
    const ioas = this.need().objects.get(ioasId, 'ioas');
    return ioas instanceof IommufdIoas ? this.test.access.attach(ioas) : (ioas as number);
  }

  /** The memory of a BAR is switched off. */
  revoke(bar: PciBar): void {
    this.fd?.revoke(bar);
  }

  /** Closes the devices, then the iommufd, which an access keeps open. */
  closeAll(): void {
    this.#closed = this.fd !== null;
    for (const device of [...this.bound.keys()]) this.unbind(device);
    if (this.test === null && this.fd !== null) this.#closeFd();
  }

  /**
   * The process closes its file alone: devices that are bound, and an access, keep the iommufd.
   *
   * @throws {KernelError} EBADF if none is open
   */
  closeFile(): void {
    this.need();
    this.#closed = true;
    if (this.bound.size === 0 && this.test === null) this.#closeFd();
  }

  /** The test driver's file is closed. */
  closeAccess(): void {
    const { test, fd } = this;
    if (!test || !fd) return;
    // The driver lets go of what it holds.
    fd.objects.drop(test.access);
    this.test = null;
    if (this.bound.size === 0 && this.#closed) this.#closeFd();
  }

  #closeFd(): void {
    this.fd?.close();
    this.fd = null;
    this.#closed = false;
    this.#names.clear();
  }
}
