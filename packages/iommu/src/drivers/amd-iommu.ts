/**
 * What the AMD driver does beside its page tables: device table entries, and the commands that
 * invalidate the IOTLB of a domain. Commands go to the IOMMU of attached devices; the model has one.
 *
 * @source drivers/iommu/amd/iommu.c __domain_flush_pages, amd_iommu_domain_flush_pages,
 * build_inv_address, device_flush_dte, detach_device, 6.18; recordings README-amd, "Flushes",
 * "Levels"
 */
import { PAGE_SIZE, pagesOf, Slot, type Counters, type IovaPn } from '@pinfold/base';
import type { IommuDevice, IoPageTableOptions } from '../formats/format.ts';
import type { IotlbGather } from '../iotlb-gather.ts';

/** What of the driver differs between releases. */
export interface AmdDriverRules {
  /** Whether a flush names its last byte; otherwise its size. */
  readonly flushesToLast: boolean;
  /** Whether a command drops directory entries only when tables are freed; otherwise always. */
  readonly keepsDirectories: boolean;
}

/** Order of the widest range that a command can name: 2^52 bytes; a wider one is everything. */
const WIDEST_ORDER = 52 - 12;
/** Pages of the whole address space. */
const ALL_PAGES = 2 ** 52;
const INVALIDATE_DEVTAB_ENTRY = 0x2000_0000;
const INVALIDATE_IOMMU_PAGES = 0x3000_0000;
const COMPLETION_WAIT = 0x1000_0000;
/** The bit of a wait that asks for a store; the address stored to is the boot's. */
const STORE = 1;
/** Bits of an invalidation: more than a page; directory entries too. */
const SEVERAL = 1;
const DIRECTORIES = 2;

/** The devices and the IOTLB of one domain. */
export class AmdDomain {
  /** Identifier of the domain. */
  readonly id: number;
  /** Whether the IOMMU caches absent entries. */
  readonly npCache: boolean;
  readonly #options: IoPageTableOptions;
  readonly #rules: AmdDriverRules;
  readonly #counters: Counters;
  readonly #devices: IommuDevice[] = [];
  /** Waits so far: what the next one stores. */
  #waits = 0;

  /**
   * @param options facts of the hardware
   * @param rules what the release decides
   * @param counters counters to add to
   */
  constructor(options: IoPageTableOptions, rules: AmdDriverRules, counters: Counters) {
    this.id = options.domainIds?.take() ?? 1;
    this.npCache = options.npCache ?? false;
    this.#options = options;
    this.#rules = rules;
    this.#counters = counters;
  }

  /**
   * A device that is blocked gets the domain.
   *
   * @param device the device
   * @source drivers/iommu/amd/iommu.c amd_iommu_attach_device, 6.18
   */
  attach(device: IommuDevice): void {
    this.#counters.tracer?.enter('amd_iommu_attach_device');
    this.#updateDte(device);
    this.#counters.tracer?.exit('amd_iommu_attach_device');
    // list_add: the newest device comes first.
    this.#devices.unshift(device);
  }

  /**
   * A device is blocked.
   *
   * @param device the device
   * @source drivers/iommu/amd/iommu.c blocked_domain_attach_device, detach_device, 6.18
   */
  detach(device: IommuDevice): void {
    this.#updateDte(device);
    this.flushAll();
    this.#devices.splice(this.#devices.indexOf(device), 1);
    this.#updateDte(device);
  }

  /** The domain is freed. */
  free(): void {
    this.putPages();
    this.#options.domainIds?.give(this.id);
  }

  /**
   * Flushes the gathered range.
   *
   * @param gather the pending invalidation
   * @source drivers/iommu/amd/iommu.c amd_iommu_iotlb_sync, 6.18 and 7.2
   */
  iotlbSync({ start, end, freelist }: IotlbGather): void {
    const { tracer } = this.#counters;
    tracer?.enter('amd_iommu_iotlb_sync', start, end, PAGE_SIZE - 1, 0);
    this.flushPages(start, end, freelist.length > 0);
    tracer?.exit('amd_iommu_iotlb_sync');
  }

  /**
   * Tells hardware that caches absent entries of a new mapping.
   *
   * @param iovaPn first page
   * @param npage length in pages
   * @source drivers/iommu/amd/iommu.c amd_iommu_iotlb_sync_map, 6.18
   */
  iotlbSyncMap(iovaPn: IovaPn, npage: number): void {
    const { tracer } = this.#counters;
    tracer?.enter('amd_iommu_iotlb_sync_map', iovaPn, npage);
    if (this.npCache) this.flushPages(iovaPn, iovaPn + npage - 1, true);
    tracer?.exit('amd_iommu_iotlb_sync_map');
  }

  /** Flushes everything. */
  flushAll(): void {
    this.flushPages(0, ALL_PAGES - 1, true);
  }

  /**
   * Flushes a range: with one command, unless absent entries are cached: then the caller is taken for
   * a guest, whose host should not be asked for more than the range.
   *
   * @param first first page; Infinity if the range is empty
   * @param last last page, below the first if the range is empty
   * @param tables whether tables were freed
   * @source drivers/iommu/amd/iommu.c amd_iommu_domain_flush_pages, 6.18
   */
  flushPages(first: IovaPn, last: IovaPn, tables: boolean): void {
    const { tracer } = this.#counters;
    this.#counters.add(Slot.iommuFlushes, 1);
    if (tracer !== null) this.#enterRange(tracer, 'amd_iommu_domain_flush_pages', first, last);
    // A range that is empty, or everything, is not cut.
    if (!this.npCache || first > last || last - first === ALL_PAGES - 1)
      this.#flushAligned(first, last, tables);
    else {
      for (let at = first; at <= last;) {
        const order = largestAligned(at, last - at + 1);
        this.#flushAligned(at, at + pagesOf(order) - 1, tables);
        at += pagesOf(order);
      }
    }
    this.#flushComplete();
    tracer?.exit('amd_iommu_domain_flush_pages');
  }

  /**
   * The driver of 6.18 has put a root above the old one.
   *
   * @source drivers/iommu/amd/io_pgtable.c increase_address_space, 6.18
   */
  raisedTop(): void {
    const { tracer } = this.#counters;
    tracer?.enter('amd_iommu_update_and_flush_device_table');
    for (const device of this.#devices) {
      this.#flushDte(device, true);
      this.#flushUnderTop();
    }
    this.#flushDtes();
    tracer?.exit('amd_iommu_update_and_flush_device_table');
    tracer?.enter('iommu_free_pages');
    tracer?.exit('iommu_free_pages');
  }

  /**
   * The generic page table code has put one or more roots above the old one.
   *
   * @source drivers/iommu/amd/iommu.c amd_iommu_change_top, 7.2
   */
  changedTop(): void {
    const { tracer } = this.#counters;
    tracer?.enter('amd_iommu_change_top');
    for (const device of this.#devices) {
      this.#updateDte(device);
      this.#flushUnderTop();
    }
    this.#flushDtes();
    tracer?.exit('amd_iommu_change_top');
  }

  /** Frees a list of table pages, which may be empty (iommu_put_pages_list). */
  putPages(): void {
    this.#counters.tracer?.enter('iommu_put_pages_list');
    this.#counters.tracer?.exit('iommu_put_pages_list');
  }

  /** Everything, once a device table entry has the new root. */
  #flushUnderTop(): void {
    this.#invalidate(0, ALL_PAGES - 1, true);
    this.#wait();
  }

  /** All device table entries again, with one wait for all. */
  #flushDtes(): void {
    for (const device of this.#devices) this.#flushDte(device, false);
    this.#flushComplete();
  }

  /** The two halves of a device table entry are written and flushed one after the other. */
  #updateDte(device: IommuDevice): void {
    this.#flushDte(device, true);
    this.#flushDte(device, true);
  }

  #flushDte({ requester }: IommuDevice, wait: boolean): void {
    const { tracer } = this.#counters;
    tracer?.enter('iommu_flush_dte', requester);
    this.#command(requester, INVALIDATE_DEVTAB_ENTRY, 0, 0);
    tracer?.exit('iommu_flush_dte');
    if (wait) this.#wait();
  }

  #flushAligned(first: IovaPn, last: IovaPn, tables: boolean): void {
    const { tracer } = this.#counters;
    if (tracer !== null) this.#enterRange(tracer, '__domain_flush_pages', first, last);
    this.#invalidate(first, last, tables);
    tracer?.exit('__domain_flush_pages');
  }

  /** One command for the smallest aligned range that holds first and last page. */
  #invalidate(first: IovaPn, last: IovaPn, tables: boolean): void {
    const { tracer } = this.#counters;
    if (tracer !== null) this.#enterRange(tracer, 'build_inv_iommu_pages', first, last);
    tracer?.exit('build_inv_iommu_pages');
    if (this.#devices.length === 0) return;
    const bits = tables || !this.#rules.keepsDirectories ? DIRECTORIES : 0;
    const order = first > last ? Infinity : commonOrder(first, last);
    if (order === 0) this.#commandAt(first, bits);
    else {
      // The size is in the address: ones up to below its highest bit.
      const size = pagesOf(Math.min(order, WIDEST_ORDER) - 1);
      const address =
        order > WIDEST_ORDER ? ALL_PAGES / 2 - 1 : Math.floor(first / size) * size + size - 1;
      this.#commandAt(address, bits | SEVERAL);
    }
  }

  #commandAt(pn: number, bits: number): void {
    this.#command(
      0,
      INVALIDATE_IOMMU_PAGES | this.id,
      (((pn % 2 ** 20) << 12) | bits) >>> 0,
      Math.floor(pn / 2 ** 20),
    );
  }

  #flushComplete(): void {
    const { tracer } = this.#counters;
    tracer?.enter('domain_flush_complete');
    if (this.#devices.length > 0) this.#wait();
    tracer?.exit('domain_flush_complete');
  }

  #wait(): void {
    this.#command(STORE, COMPLETION_WAIT, ++this.#waits, 0);
  }

  #command(w0: number, w1: number, w2: number, w3: number): void {
    const { tracer } = this.#counters;
    this.#counters.add(Slot.iommuCommands, 1);
    tracer?.enter('__iommu_queue_command_sync', w0, w1, w2, w3);
    tracer?.exit('__iommu_queue_command_sync');
  }

  #enterRange(
    tracer: NonNullable<Counters['tracer']>,
    fn: 'amd_iommu_domain_flush_pages' | '__domain_flush_pages' | 'build_inv_iommu_pages',
    first: IovaPn,
    last: IovaPn,
  ): void {
    if (this.#rules.flushesToLast) tracer.enter(fn, first, 1, last, this.id);
    else {
      const all = last - first === ALL_PAGES - 1;
      tracer.enter(fn, first, 0, all ? Infinity : last - first + 1, this.id);
    }
  }
}

/** Order of the largest aligned range that begins at a page and fits. */
function largestAligned(pn: number, npage: number): number {
  let order = 0;
  while (pagesOf(order + 1) <= npage && pn % pagesOf(order + 1) === 0) order++;
  return order;
}

/** Order of the smallest aligned range that holds two pages. */
function commonOrder(first: number, last: number): number {
  let order = 0;
  let [a, b] = [first, last];
  while (a !== b) {
    a = Math.floor(a / 2);
    b = Math.floor(b / 2);
    order++;
  }
  return order;
}
