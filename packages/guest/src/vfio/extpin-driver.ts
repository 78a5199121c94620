/**
 * The emulated devices of the recordings' guest and the driver behind them: three devices, each alone
 * in a group without an IOMMU, whose calls are made one to one. The driver remembers, per device and
 * exact I/O virtual address, how many references it holds.
 *
 * @source README-extpin, "The emulated device"
 */
import type { Page } from '@pinfold/base';
import type { Task } from '@pinfold/mm';
import { hex, type DmaUnmapNotification } from '@pinfold/scenario';
import type { EmulatedGroup, VfioContainer, VfioDevice } from '@pinfold/vfio-type1';
import type { ExtmodeOperation, UnmapMode } from '../operations/external/extmode.ts';

/** Aliases of the devices. */
const EXTPIN_DEVICES: readonly string[] = ['ext0', 'ext1', 'ext2'];
/** The device whose driver has no dma_unmap operation. */
const WITHOUT_DMA_UNMAP = 'ext2';

const PAGE_BYTES = 4096n;
/** Pages of one call at most. */
export const MAX_PAGES = 512;
/** Notifications that are listed; all are counted. */
const MAX_NOTIFICATIONS = 256;

/** Notifications of a step, of all devices, in order. */
class Notifications {
  total = 0;
  list: DmaUnmapNotification[] = [];

  add(notification: DmaUnmapNotification): void {
    this.total++;
    if (this.list.length < MAX_NOTIFICATIONS) this.list.push(notification);
  }
}

/** An emulated device. */
export class ExtpinDevice implements VfioDevice {
  readonly name: string;
  readonly group: EmulatedGroup;
  readonly dmaUnmap?: (iova: bigint, size: bigint) => void;
  readonly #notifications: Notifications;
  /** References by address, in the order in which the addresses were first pinned. */
  readonly #held = new Map<bigint, number>();
  #container: VfioContainer | null = null;
  #unmap: UnmapMode = 'all';
  /** Times that mode `skip` will still give nothing back. */
  #skips = 0;
  #keep = false;

  /**
   * @param name alias
   * @param notifications where its notifications are told
   */
  constructor(name: string, notifications: Notifications) {
    this.name = name;
    this.group = { emulated: true, name };
    this.#notifications = notifications;
    if (name !== WITHOUT_DMA_UNMAP) {
      this.dmaUnmap = (iova, size) => {
        this.#notified(iova, size);
      };
    }
  }

  /** References that it holds, as it sees it. */
  get held(): number {
    return [...this.#held.values()].reduce((sum, refs) => sum + refs, 0);
  }

  /**
   * open_device: nothing is held.
   *
   * @param container the container of its group
   */
  open(container: VfioContainer): void {
    this.#container = container;
    this.#held.clear();
  }

  /** close_device: everything is given back, unless it is to be kept. */
  close(): void {
    if (!this.#keep) for (const iova of [...this.#held.keys()]) this.#giveBack(iova);
    this.#held.clear();
    this.#container = null;
  }

  /**
   * Sets what it does when a mapping goes and when it is closed.
   *
   * @param mode the mode
   */
  setMode({ unmap, k, keep }: ExtmodeOperation): void {
    this.#unmap = unmap;
    this.#skips = k;
    this.#keep = keep;
  }

  /**
   * vfio_pin_pages.
   *
   * @param container the container that is asked
   * @param iova first I/O virtual address in bytes
   * @param npage pages
   * @param prot access that it wants
   * @param pages gets the pages; null for a NULL array
   * @param forget whether it does not remember the pins
   * @returns pages pinned, or a negative errno
   */
  pin(
    container: VfioContainer,
    iova: bigint,
    npage: number,
    prot: number,
    pages: Page[] | null,
    forget = false,
  ): number {
    const ret = container.tryPinPages(this, iova, npage, prot, pages);
    if (forget) return ret;
    for (let i = 0; i < ret; i++) {
      const at = iova + BigInt(i) * PAGE_BYTES;
      this.#held.set(at, (this.#held.get(at) ?? 0) + 1);
    }
    return ret;
  }

  /**
   * vfio_unpin_pages.
   *
   * @param container the container that is asked
   * @param iova first I/O virtual address in bytes
   * @param npage pages
   * @param forget whether it still remembers the pins
   */
  unpin(container: VfioContainer, iova: bigint, npage: number, forget = false): void {
    container.unpinPages(this, iova, npage);
    if (forget || npage > MAX_PAGES) return;
    for (let i = 0; i < npage; i++) this.#drop(iova + BigInt(i) * PAGE_BYTES, 1);
  }

  /**
   * vfio_dma_rw.
   *
   * @param container the container that is asked
   * @param current who calls; null for a kernel thread
   * @param iova first I/O virtual address in bytes
   * @param data the bytes to write, or where bytes that are read go; null for a NULL buffer
   * @param write whether to write
   * @param length bytes, also those of a NULL buffer
   * @returns 0 or a negative errno
   */
  dmaRw(
    container: VfioContainer,
    current: Task | null,
    iova: bigint,
    data: Uint8Array | null,
    write: boolean,
    length: number,
  ): number {
    return container.tryDmaRw(this, current, iova, data, write, length);
  }

  /** dma_unmap: a mapping goes. */
  #notified(iova: bigint, size: bigint): void {
    const inside = [...this.#held.keys()].filter(
      (at) => at + PAGE_BYTES > iova && at < iova + size,
    );
    const held = inside.reduce((sum, at) => sum + (this.#held.get(at) ?? 0), 0);
    const notification = { dev: this.name, iova: hex(iova), size: hex(size), held, released: 0 };
    this.#notifications.add(notification);
    for (const [at, refs] of this.#toGiveBack(inside)) {
      notification.released += this.#giveBack(at, refs);
    }
  }

  /** Which addresses are given back, and how many references of each. */
  #toGiveBack(inside: readonly bigint[]): (readonly [at: bigint, refs: number])[] {
    const all = inside.map((at) => [at, Infinity] as const);
    switch (this.#unmap) {
      case 'none':
        return [];
      case 'one':
        return all.slice(0, 1);
      case 'ref':
        return inside.slice(0, 1).map((at) => [at, 1] as const);
      case 'skip':
        return this.#skips-- > 0 ? [] : all;
      case 'all':
        return all;
    }
  }

  /** Gives references of an address back, one call each; returns how many. */
  #giveBack(at: bigint, most = Infinity): number {
    const refs = Math.min(most, this.#held.get(at) ?? 0);
    for (let i = 0; i < refs; i++) {
      this.#drop(at, 1);
      this.#container?.unpinPages(this, at, 1);
    }
    return refs;
  }

  #drop(at: bigint, refs: number): void {
    const left = (this.#held.get(at) ?? 0) - refs;
    if (left > 0) this.#held.set(at, left);
    else this.#held.delete(at);
  }

  /** Whether its device file is open. */
  get isOpen(): boolean {
    return this.#container !== null;
  }
}

/** The driver: its devices, and what they were told. */
export class ExtpinDriver {
  /** The devices by alias. */
  readonly devices: ReadonlyMap<string, ExtpinDevice>;
  readonly #notifications = new Notifications();

  constructor() {
    this.devices = new Map(
      EXTPIN_DEVICES.map((name) => [name, new ExtpinDevice(name, this.#notifications)]),
    );
  }

  /** References that every open device holds, by alias; undefined without an open device. */
  get held(): Readonly<Record<string, number>> | undefined {
    const open = [...this.devices.values()].filter(({ isOpen }) => isOpen);
    if (open.length === 0) return undefined;
    return Object.fromEntries(open.map(({ name, held }) => [name, held]));
  }

  /**
   * Takes the notifications since the last time.
   *
   * @returns their number, and the first of them
   */
  takeNotifications(): { total: number; list: readonly DmaUnmapNotification[] } {
    const { total, list } = this.#notifications;
    this.#notifications.total = 0;
    this.#notifications.list = [];
    return { total, list };
  }
}
