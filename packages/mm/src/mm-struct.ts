/**
 * An address space (`struct mm_struct`) and the process that owns it.
 *
 * @source include/linux/mm_types.h struct mm_struct, 6.16; reference mm.md §8
 */
import type { Vpn } from '@pinfold/base';
import type { FrameSource } from './frame-source.ts';
import type { Memory } from './memory.ts';
import { PageTable } from './page-table.ts';
import { VmaTree } from './vma.ts';

/** Why the last GUP or pfnmap walk on an address space ended early; for messages. */
export interface GupFailure {
  /** Virtual page at which it ended. */
  readonly vpn: Vpn;
  /** The reason, in a few words. */
  readonly why: string;
}

/** An address space. */
export class MmStruct {
  /** The machine's memory. */
  readonly memory: Memory;
  /** Its areas. */
  readonly vmas: VmaTree = new VmaTree();
  /** Its page table. */
  readonly pageTable: PageTable;
  /** mm->locked_vm: pages charged against RLIMIT_MEMLOCK. */
  lockedVm = 0;
  /** mm->pinned_vm: pages that are pinned in it for long, as iommufd counts them. */
  pinnedVm = 0;
  /** mm_users: 0 once the process has gone. */
  mmUsers = 1;
  /** Set by the first FOLL_PIN (MMF_HAS_PINNED): from then on fork copies pinned pages. */
  hasPinned = false;
  /** Where its frames come from, if not from the machine's source. */
  frames: FrameSource | null = null;
  /** Why the last GUP or pfnmap walk ended early, null if none did. */
  gupFailure: GupFailure | null = null;

  /** @param memory the machine's memory */
  constructor(memory: Memory) {
    this.memory = memory;
    this.pageTable = new PageTable(memory.memmap.geometry, memory.maxPageTables);
    memory.addressSpaces.add(this);
  }
}

/** A user (struct user_struct): what all its processes together have charged. */
export class UserStruct {
  /** user->locked_vm: pages charged against RLIMIT_MEMLOCK, as iommufd counts them. */
  lockedVm = 0;
}

/** What of a process matters for pinning: its memory, its limit, its capability. */
export class Task {
  /** Address space. */
  readonly mm: MmStruct;
  /** RLIMIT_MEMLOCK in bytes; Infinity is unlimited. */
  rlimitMemlock: number;
  /** CAP_IPC_LOCK: RLIMIT_MEMLOCK does not bind. */
  capIpcLock: boolean;
  /** CAP_SYS_RESOURCE. */
  capSysResource = true;
  /** CAP_SYS_RAWIO: it may open groups without an IOMMU. */
  capSysRawio = true;
  /** The user that it runs as. */
  readonly user: UserStruct;

  /**
   * @param mm address space
   * @param rlimitMemlock RLIMIT_MEMLOCK in bytes; default 8 MiB, the kernel's
   * @param capIpcLock whether the process has CAP_IPC_LOCK
   * @param user the user that it runs as; default: one of its own
   */
  constructor(
    mm: MmStruct,
    rlimitMemlock: number = 8 * 2 ** 20,
    capIpcLock = false,
    user: UserStruct = new UserStruct(),
  ) {
    this.mm = mm;
    this.user = user;
    this.rlimitMemlock = rlimitMemlock;
    this.capIpcLock = capIpcLock;
  }

  /** RLIMIT_MEMLOCK in whole pages. */
  get memlockPages(): number {
    return Math.floor(this.rlimitMemlock / this.mm.pageTable.geometry.pageSize);
  }
}
