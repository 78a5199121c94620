/**
 * What an algorithm of one's own sees of mappings, batches and requests: the few fields that such
 * code may touch, and no way to the objects behind them.
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_dma, struct vfio_batch, 6.18
 */
import type { IovaPn, Page, Pfn, Vpn } from '@pinfold/base';
import type { VfioBatch } from '../batch.ts';
import type { VfioDma } from '../dma.ts';
import type { OwnWork } from '../pin-algorithm.ts';
import type { ExternalPinRequest } from '../pin-external.ts';
import { Misuse, shown } from './algorithm-fault.ts';
import type { OwnBatch, OwnDma, OwnPinRequest } from './own-algorithm.ts';

/** A mapping. */
export class DmaView implements OwnDma {
  readonly #dma: VfioDma;

  /** @param dma the mapping */
  constructor(dma: VfioDma) {
    this.#dma = dma;
    Object.freeze(this);
  }

  /**
   * The mapping behind a view.
   *
   * @param view what an algorithm has handed in
   * @returns the mapping; null if it is no view of one
   */
  static of(view: unknown): VfioDma | null {
    return typeof view === 'object' && view !== null && #dma in view ? view.#dma : null;
  }

  get iovaPn(): IovaPn {
    return this.#dma.iovaPn;
  }

  get vaddr(): Vpn {
    return this.#dma.vaddr;
  }

  get npage(): number {
    return this.#dma.npage;
  }

  get prot(): number {
    return this.#dma.prot;
  }

  get hasRsvd(): boolean {
    return this.#dma.hasRsvd;
  }

  set hasRsvd(value: boolean) {
    if (typeof value !== 'boolean')
      throw new Misuse(`dma.hasRsvd: expected true or false, got ${shown(value)}`);
    this.#dma.hasRsvd = value;
  }

  get state(): unknown {
    return this.#dma.pinState;
  }

  set state(value: unknown) {
    this.#dma.pinState = value;
  }
}

/** A batch. */
export class BatchView implements OwnBatch {
  readonly #batch: VfioBatch;
  readonly #work: OwnWork;

  /**
   * @param batch the batch
   * @param work gets what is read of it
   */
  constructor(batch: VfioBatch, work: OwnWork) {
    this.#batch = batch;
    this.#work = work;
    Object.freeze(this);
  }

  /**
   * The batch behind a view.
   *
   * @param view what an algorithm has handed in
   * @returns the batch; null if it is no view of one
   */
  static of(view: unknown): VfioBatch | null {
    return typeof view === 'object' && view !== null && #batch in view ? view.#batch : null;
  }

  get capacity(): number {
    return this.#batch.capacity;
  }

  get size(): number {
    return this.#batch.size;
  }

  get pfn(): Pfn {
    return this.#batch.pfn;
  }

  page(i = 0): Page {
    const { pages, offset, size } = this.#batch;
    this.#work.pageReads++;
    if (Number.isInteger(i) && i >= 0 && i < size) return pages[offset + i];
    throw new Misuse(`batch.page: expected an entry below ${size}, got ${shown(i)}`);
  }

  take(npage: number): void {
    const batch = this.#batch;
    if (!Number.isInteger(npage) || npage < 0 || npage > batch.size)
      throw new Misuse(`batch.take: expected 0 to ${batch.size}, got ${shown(npage)}`);
    batch.offset += npage;
    batch.size -= npage;
  }
}

/** What a device asks for. */
export class RequestView implements OwnPinRequest {
  readonly #request: ExternalPinRequest;
  readonly #doAccounting: boolean;

  /**
   * @param request what the device asks for
   * @param doAccounting whether pages are charged here
   */
  constructor(request: ExternalPinRequest, doAccounting: boolean) {
    this.#request = request;
    this.#doAccounting = doAccounting;
    Object.freeze(this);
  }

  /**
   * The request behind a view.
   *
   * @param view what an algorithm has handed in
   * @returns the request; null if it is no view of one
   */
  static of(view: unknown): ExternalPinRequest | null {
    return typeof view === 'object' && view !== null && #request in view ? view.#request : null;
  }

  get npage(): number {
    return this.#request.npage;
  }

  get doAccounting(): boolean {
    return this.#doAccounting;
  }

  iovaPn(i: number): IovaPn {
    return this.#at(this.#request.iovaPn, i);
  }

  offset(i: number): number {
    return this.#at(this.#request.offset, i);
  }

  #at(numbers: readonly number[], i: number): number {
    if (Number.isInteger(i) && i >= 0 && i < this.npage) return numbers[i];
    throw new Misuse(`request: expected a page below ${this.npage}, got ${shown(i)}`);
  }
}
