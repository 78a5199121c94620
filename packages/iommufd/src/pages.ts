/**
 * iopt_pages: a piece of memory as an array of pages, shared by all mappings of it. Each page is
 * pinned once, however many domains and accesses use it.
 *
 * @source drivers/iommu/iommufd/io_pagetable.h struct iopt_pages, pages.c, 7.2; reference iommufd.md §1
 */
import { PAGE_SIZE, type Vpn } from '@pinfold/base';
import type { MappedFile, Memory, MmStruct, Task } from '@pinfold/mm';
import type { IoptArea } from './area.ts';
import type { IommufdCalls } from './calls.ts';
import { IntervalTree } from './interval-tree.ts';
import { PinnedPfns } from './pinned-pfns.ts';
import type { Refusals } from './refusal.ts';
import type { DmaBuf } from './uapi.ts';

/** What pinned pages are charged to; with the kernel's values. */
export const ACCOUNT_MODE = {
  /** Nothing: the creator has CAP_IPC_LOCK, or it is device memory. */
  NONE: 0,
  /** The user (user_struct.locked_vm). */
  USER: 1,
  /** The process (mm.locked_vm). */
  MM: 2,
} as const;

/** Where the pages come from. */
export type PagesSource =
  | { readonly type: 'user'; readonly vpn: Vpn }
  | {
      readonly type: 'file';
      readonly file: MappedFile;
      readonly bytes: bigint;
      readonly pgoff: number;
    }
  | { readonly type: 'dmabuf'; readonly dmabuf: DmaBuf; readonly pgoff: number };

/** A pages_node: the slice of the pages that an area maps in a domain. */
export interface PagesNode {
  /** First page index. */
  readonly start: number;
  /** Last page index, inclusive. */
  readonly last: number;
  /** The area. */
  readonly area: IoptArea;
}

/** Pages that accesses hold (struct iopt_pages_access). */
export interface PagesAccess {
  /** First page index. */
  readonly start: number;
  /** Last page index, inclusive. */
  readonly last: number;
  /** How often they are held. */
  users: number;
}

/** What pages need of the machine. */
export interface PagesContext {
  /** The machine's memory. */
  readonly memory: Memory;
  /** Counts and traces. */
  readonly calls: IommufdCalls;
  /** Why the call under way is refused. */
  readonly refusals: Refusals;
}

/** Memory that is or will be mapped. */
export class IoptPages {
  /** The machine. */
  readonly context: PagesContext;
  /** Where the pages come from. */
  readonly source: PagesSource;
  /** Number of pages. */
  readonly npages: number;
  /** Whether they are pinned for writing. */
  readonly writable: boolean;
  /** {@link ACCOUNT_MODE}. */
  accountMode: number;
  /** The process that is charged. */
  sourceTask: Task;
  /** References: areas that map them. */
  users = 1;
  /** Pages pinned. */
  npinned = 0;
  /** Pages pinned when it was accounted for last. */
  lastNpinned = 0;
  /** Frames of pages that accesses hold. */
  readonly pinnedPfns: PinnedPfns = new PinnedPfns();
  /** Page indexes that accesses hold. */
  readonly accessTree: IntervalTree<number, PagesAccess> = new IntervalTree();
  /** Page indexes that domains store. */
  readonly domainsTree: IntervalTree<number, PagesNode> = new IntervalTree();
  /** Of a dma-buf: whether the exporter has taken it back. */
  revoked = false;

  /**
   * @param context the machine
   * @param source where the pages come from
   * @param npages number of pages
   * @param writable whether they are pinned for writing
   * @param accountMode {@link ACCOUNT_MODE}
   * @param task the process that made them
   */
  constructor(
    context: PagesContext,
    source: PagesSource,
    npages: number,
    writable: boolean,
    accountMode: number,
    task: Task,
  ) {
    this.context = context;
    this.source = source;
    this.npages = npages;
    this.writable = writable;
    this.accountMode = accountMode;
    this.sourceTask = task;
  }

  /** The address space that they come from. */
  get sourceMm(): MmStruct {
    return this.sourceTask.mm;
  }

  /** Whether they are memory of a device. */
  get isDmabuf(): boolean {
    return this.source.type === 'dmabuf';
  }

  /**
   * Drops a reference.
   *
   * @returns whether it was the last
   * @source drivers/iommu/iommufd/pages.c iopt_put_pages, iopt_release_pages, 7.2
   */
  put(): boolean {
    if (--this.users > 0) return false;
    this.context.calls.call('iopt_release_pages');
    return true;
  }
}

/**
 * Pages of a range of bytes.
 *
 * @param startByte offset of the first byte in its page
 * @param length length in bytes, at least 1
 * @returns number of pages that it touches
 */
export function pagesOfBytes(startByte: number, length: bigint): number {
  return Number((BigInt(startByte) + length + BigInt(PAGE_SIZE - 1)) / BigInt(PAGE_SIZE));
}
