/**
 * The process that a scenario runs in: its regions of memory, and what it does with them.
 *
 * @source recordings README, "Scenario language"
 */
import {
  byteAddress,
  Errno,
  InputError,
  PAGE_SIZE,
  pageNumber,
  X86_64,
  type Vpn,
} from '@pinfold/base';
import {
  adviseCollapse,
  adviseDontneed,
  adviseFork,
  adviseFree,
  adviseHugepage,
  advisePopulate,
  adviseRemove,
  anonymousMemory,
  dupMmap,
  doMmap,
  exitMmap,
  HugetlbMemory,
  MappedFile,
  mlock,
  mlockFuture,
  mmPopulate,
  mprotect,
  mremap,
  MmStruct,
  munmap,
  PciBar,
  touchPage,
  VM,
  Vma,
  vmEnoughMemory,
  VM_FAULT,
  Task,
  type FrameSource,
  type VmOperations,
} from '@pinfold/mm';
import { RegionAddresses } from './addresses.ts';
import { HUGE_ORDERS } from './huge-orders.ts';
import type { MmapOperation } from '../operations/memory/mmap.ts';
import type { TouchOperation } from '../operations/memory/touch.ts';
import type { MremapOperation } from '../operations/memory/mremap.ts';
import { PlacedMemory } from './placed-memory.ts';
import { SysfsBar } from '../vfio/sysfs-bar.ts';
import { MAX_ACCESSES, TouchedAddresses } from './touched-addresses.ts';

/** A named region of memory. */
export interface Region {
  /** First virtual page. */
  readonly vpn: Vpn;
  /** Length in pages. */
  readonly npage: number;
  /** The file or memfd that it maps, if any. */
  readonly file: MappedFile | null;
}

/** What an mmap led to. */
export interface Mapped {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** The region, if it was mapped. */
  readonly region: Region | null;
}

/** Finds the BARs of devices. */
export interface BarLookup {
  /**
   * The BAR of an open device, for an mmap of kind `bar`.
   *
   * @param dev alias of the device
   * @param bar number of the BAR
   * @returns the BAR, or a negative errno
   */
  barOf(dev: string, bar: number): PciBar | number;

  /**
   * The BAR that a file of sysfs stands for.
   *
   * @param path the file
   * @returns the BAR; undefined for any other file
   */
  resourceAt(path: string): PciBar | undefined;
}

/** Pages of the blocks that devdax maps. */
const PMD_PAGES = X86_64.tableEntries;
/** Where addresses wrap. */
const U64_END = 2n ** 64n;
const PAGE_BYTES = BigInt(PAGE_SIZE);
const TASK_SIZE_BYTES = byteAddress(X86_64.taskPages);

/** The memory of one process. */
export class GuestProcess {
  /** The process. */
  readonly task: Task;
  /** Its regions by name. */
  readonly regions: Map<string, Region> = new Map();
  readonly #addresses = new RegionAddresses();
  readonly #files = new Map<string, MappedFile>();
  readonly #memfds: MappedFile[] = [];
  readonly #children: MmStruct[] = [];
  readonly #remembersOneChild: boolean;
  /** Whether the child that was forked last is there. */
  #lastChildLives = false;
  #placed: PlacedMemory | null = null;

  /**
   * @param task the process
   * @param remembersOneChild whether it can reap but the child that it forked last; default: all
   */
  constructor(task: Task, remembersOneChild = false) {
    this.task = task;
    this.#remembersOneChild = remembersOneChild;
  }

  /** Whether a child that the process remembers is there, or it has forgotten none. */
  get knowsItsChild(): boolean {
    return !this.#remembersOneChild || this.#lastChildLives;
  }

  /** Its address space, and those of its children. */
  get addressSpaces(): readonly MmStruct[] {
    return [this.task.mm, ...this.#children];
  }

  /** Every file and memfd that it has ever opened: for invariants. */
  get files(): readonly MappedFile[] {
    return [...this.#files.values(), ...this.#memfds];
  }

  /**
   * mmap, with what the operation wants done right after it.
   *
   * @param operation the operation
   * @param bars finds BARs
   * @returns 0 and the region, or a negative errno
   * @throws {InputError} for a region of a name that is taken, or an `of=` without a memfd
   */
  mmap(operation: MmapOperation, bars: BarLookup): Mapped {
    const { mm } = this.task;
    const size = hugeAligned(operation);
    const address = operation.addr ?? this.#addresses.next;
    const wrong = checkMmapRange(address, size);
    if (wrong !== 0) return { ret: wrong, region: null };
    const vpn = pageNumber(address);
    const npage = pageNumber(roundedUp(size));
    const ops = this.#backing(operation, vpn, npage, bars);
    if (typeof ops === 'number') return { ret: ops, region: null };
    const call = {
      vpn,
      npage,
      flags: vmFlags(operation, ops),
      ops,
      pgoff: pageNumber(operation.off ?? 0n),
    };
    const fixed = operation.flags.includes('fixed');
    if (operation.flags.includes('locked') && (fixed || mm.vmas.isFree(vpn, vpn + npage))) {
      const refused = mlockFuture(this.task, npage);
      if (refused !== 0) return { ret: refused, region: null };
    }
    if (isAccountable(operation) && !vmEnoughMemory(mm.memory, npage)) {
      return { ret: -Errno.ENOMEM, region: null };
    }
    if (fixed) munmap(mm, vpn, npage);
    const ret = doMmap(mm, call);
    if (ret !== 0) return { ret, region: null };
    if (operation.addr === undefined) this.#addresses.place(size);
    const region = { vpn, npage, file: ops instanceof MappedFile ? ops : null };
    this.regions.set(operation.name, region);
    if (operation.frames !== undefined || operation.copies !== undefined) {
      this.#placed ??= new PlacedMemory(this.task.mm);
      this.#placed.populate(operation, region, call.pgoff);
    }
    this.#afterMmap(operation, region);
    return { ret: 0, region };
  }

  /**
   * Accesses pages of a range one after the other.
   *
   * @param operation the range, the stride and the order
   * @returns 0; -EFAULT at the first access that ends in a signal
   * @throws {InputError} when 2^28 accesses were made, and there are more
   */
  touch(operation: TouchOperation): number {
    const write = operation.mode === 'w';
    const { mm } = this.task;
    const { contents } = mm.memory;
    const accesses = new TouchedAddresses(operation);
    for (let i = 0; i < accesses.count; i++) {
      if (i === MAX_ACCESSES) {
        throw new InputError('touch', `at most ${MAX_ACCESSES} accesses`, `${accesses.count}`);
      }
      accesses.select(i);
      const { vpn, offset } = accesses;
      const code = touchPage(mm, vpn, write);
      if (code !== 0) return code === VM_FAULT.OOM ? -Errno.ENOMEM : -Errno.EFAULT;
      // What the program writes is the byte 1.
      if (write) contents?.writeByte(mm.pageTable.pfnAt(vpn), offset, 1);
    }
    return 0;
  }

  /**
   * munmap, mlock or munlock of whole pages.
   *
   * @param op which of them
   * @param va first byte, a multiple of the page size for munmap
   * @param size length in bytes, rounded up to pages
   * @returns 0 or a negative errno
   */
  range(op: 'munmap' | 'mlock' | 'munlock', va: bigint, size: bigint): number {
    const { mm } = this.task;
    if (op === 'munmap') {
      const length = roundedUp(size);
      if (va % 4096n !== 0n || length === 0n) return -Errno.EINVAL;
      return munmap(mm, pageNumber(va), pageNumber(length));
    }
    const first = pageNumber(va);
    // PAGE_ALIGN of the bytes from the start of the first page wraps as the kernel's numbers do.
    const npage = pageNumber(roundedUp(size + (va % 4096n)));
    return mlock(this.task, first, npage, op === 'mlock');
  }

  /**
   * mremap.
   *
   * @param operation the operation
   * @returns 0 and where the memory lies then, or a negative errno
   */
  mremap({ va, size, newsize, to, maymove, name }: MremapOperation): Mapped {
    const refused = { ret: -Errno.EINVAL, region: null };
    if (va % 4096n !== 0n || (to ?? 0n) % 4096n !== 0n) return refused;
    const call = {
      ...{ vpn: pageNumber(va), npage: pageNumber(roundedUp(size)) },
      ...{
        newPages: pageNumber(roundedUp(newsize)),
        ...(to !== undefined && { to: pageNumber(to) }),
      },
      ...(maymove && { findPlace: () => pageNumber(this.#addresses.place(newsize)) }),
    };
    const file = this.task.mm.vmas.lookup(call.vpn)?.ops;
    const { ret, vpn } = mremap(this.task, call);
    if (ret !== 0) return { ret, region: null };
    const backing = file instanceof MappedFile ? file : null;
    const region = { vpn, npage: pageNumber(newsize), file: backing };
    if (name !== undefined) this.regions.set(name, region);
    return { ret, region };
  }

  /**
   * mprotect.
   *
   * @param va first byte
   * @param size length in bytes
   * @param prot letters `r`, `w`
   * @returns 0 or a negative errno
   */
  mprotect(va: bigint, size: bigint, prot: string): number {
    if (va % 4096n !== 0n) return -Errno.EINVAL;
    if (size === 0n) return 0;
    const length = roundedUp(size);
    if (va + length >= U64_END || length === 0n) return -Errno.ENOMEM;
    return mprotect(this.task.mm, pageNumber(va), pageNumber(length), protFlags(prot));
  }

  /**
   * madvise.
   *
   * @param va first byte
   * @param size length in bytes
   * @param advice what is advised
   * @returns 0 or a negative errno
   * @throws {InputError} for an advice that is not modelled
   */
  madvise(va: bigint, size: bigint, advice: string): number {
    const { mm } = this.task;
    const length = roundedUp(size);
    // A range that wraps, or whose length rounds up to nothing; the last page ends at 0, as one wraps.
    if (va % 4096n !== 0n || (size > 0n && length === 0n)) return -Errno.EINVAL;
    if (va + length >= U64_END) return -Errno.EINVAL;
    if (length === 0n) return 0;
    const vpn = pageNumber(va);
    const npage = pageNumber(length);
    if (advice === 'huge') return adviseHugepage(mm, vpn, npage, VM.HUGEPAGE);
    if (advice === 'nohuge') return adviseHugepage(mm, vpn, npage, VM.NOHUGEPAGE);
    if (advice === 'dontneed') return adviseDontneed(mm, vpn, npage);
    if (advice === 'collapse') return adviseCollapse(mm, vpn, npage);
    if (advice === 'popread') return advisePopulate(mm, vpn, npage, false);
    if (advice === 'popwrite') return advisePopulate(mm, vpn, npage, true);
    if (advice === 'remove') return adviseRemove(mm, vpn, npage);
    if (advice === 'dontfork') return adviseFork(mm, vpn, npage, false);
    if (advice === 'dofork') return adviseFork(mm, vpn, npage, true);
    if (advice === 'free') return adviseFree(mm, vpn, npage);
    const known =
      'huge, nohuge, dontneed, collapse, popread, popwrite, remove, free, dontfork or dofork';
    throw new InputError(`madvise advice=${advice}`, known, 'an advice that is not modelled');
  }

  /**
   * fork: a child that sleeps.
   *
   * @param frames where the child's copies lie
   * @returns 0, or -ENOMEM
   */
  fork(frames: FrameSource | null): number {
    const child = new MmStruct(this.task.mm.memory);
    child.frames = frames;
    const ret = dupMmap(this.task.mm, child);
    if (ret === 0) {
      this.#children.push(child);
      this.#lastChildLives = true;
    }
    return ret;
  }

  /**
   * The end of the child that was forked last.
   *
   * @returns 0, or -ECHILD without a child
   */
  reap(): number {
    const child = this.#children.pop();
    if (!child) return -Errno.ECHILD;
    this.#lastChildLives = false;
    exitMmap(child);
    return 0;
  }

  /**
   * Forks a child that does one thing and ends.
   *
   * @param frames where the child's copies lie
   * @param act what it does
   * @returns what that gives
   * @throws {InputError} when there is no memory for the child
   */
  inChild<Value>(frames: FrameSource | null, act: (child: Task) => Value): Value {
    const child = new MmStruct(this.task.mm.memory);
    child.frames = frames;
    if (dupMmap(this.task.mm, child) !== 0) throw new InputError('fork', 'memory', 'none');
    const { rlimitMemlock, capIpcLock, user } = this.task;
    const value = act(new Task(child, rlimitMemlock, capIpcLock, user));
    exitMmap(child);
    return value;
  }

  /**
   * Lets the process, or a child that then ends, do one thing.
   *
   * @param who the process or the child
   * @param frames where the child's copies lie
   * @param act what it does
   * @returns what that gives
   */
  by<Value>(
    who: 'process' | 'child',
    frames: FrameSource | null,
    act: (task: Task) => Value,
  ): Value {
    return who === 'process' ? act(this.task) : this.inChild(frames, act);
  }

  /** Ends the process: its memory is given back, and its memfds go. */
  exit(): void {
    while (this.#children.length > 0) this.reap();
    exitMmap(this.task.mm);
    for (const file of [...this.#files.values(), ...this.#memfds]) file.evict(this.task.mm.memory);
  }

  /** Who answers the faults of a new mapping, or a negative errno. */
  #backing(
    operation: MmapOperation,
    vpn: Vpn,
    npage: number,
    bars: BarLookup,
  ): VmOperations | number {
    const { kind, flags } = operation;
    const order = HUGE_ORDERS[kind] ?? 0;
    if (kind === 'bar') {
      const bar = bars.barOf(operation.dev ?? '', operation.bar ?? 0);
      const end = pageNumber(operation.off ?? 0n) + npage;
      return typeof bar === 'number' || end <= bar.npage ? bar : -Errno.EINVAL;
    }
    const resource = kind === 'file' ? bars.resourceAt(operation.path ?? '') : undefined;
    if (resource)
      return pageNumber(operation.off ?? 0n) + npage <= resource.npage
        ? new SysfsBar(resource)
        : -Errno.EINVAL;
    if (kind === 'anon') {
      return flags.includes('shared') ? this.#sharedAnonymous(npage, 0) : anonymousMemory;
    }
    if (kind === 'huge2m' || kind === 'huge1g') {
      return flags.includes('shared')
        ? this.#sharedAnonymous(npage, order)
        : new HugetlbMemory(order);
    }
    if (kind === 'devdax' && !isDevdaxMapping(operation, vpn, npage)) return -Errno.EINVAL;
    const length = pageNumber((operation.fsize ?? operation.size) + (operation.off ?? 0n) + 4095n);
    const file =
      kind === 'file'
        ? this.#file(operation.path ?? '', length)
        : kind === 'fsdax' || kind === 'devdax'
          ? this.#dax(kind, length)
          : this.#memfdOf(operation, length, order);
    if (operation.of === undefined && operation.fsize !== undefined && kind !== 'file') {
      file.bytes = operation.fsize;
    }
    if (flags.includes('filled')) {
      const pgoff = pageNumber(operation.off ?? 0n);
      file.fill(this.task.mm, new Vma(vpn, vpn + npage, 0, file, pgoff));
    }
    return file;
  }

  #memfd(npage: number, order: number): MappedFile {
    const file = new MappedFile(order > 0 ? 'hugetlbfs' : 'shmem', npage, order);
    this.#memfds.push(file);
    return file;
  }

  /** Persistent memory; each mapping has some of its own. */
  #dax(kind: 'fsdax' | 'devdax', npage: number): MappedFile {
    const file = new MappedFile(kind, npage);
    this.#memfds.push(file);
    return file;
  }

  /** Shared anonymous memory: a file that nobody holds, which goes with its last mapping. */
  #sharedAnonymous(npage: number, order: number): MappedFile {
    const file = this.#memfd(npage, order);
    file.held = false;
    return file;
  }

  /** A new memfd, or that of the region that `of=` names. */
  #memfdOf(operation: MmapOperation, npage: number, order: number): MappedFile {
    if (operation.of === undefined) return this.#memfd(npage, order);
    const file = this.regions.get(operation.of)?.file;
    if (file) return file;
    throw new InputError(`mmap of=${operation.of}`, 'a region of a memfd', 'one without a memfd');
  }

  /** The file of a path; what lies under /tmp is in memory. */
  #file(path: string, npage: number): MappedFile {
    const known = this.#files.get(path);
    if (known) {
      known.npage = Math.max(known.npage, npage);
      return known;
    }
    const file = new MappedFile(path.startsWith('/tmp/') ? 'shmem' : 'disk', npage);
    this.#files.set(path, file);
    return file;
  }

  #afterMmap(operation: MmapOperation, { vpn, npage }: Region): void {
    const { mm } = this.task;
    if (operation.flags.includes('populate')) mmPopulate(mm, vpn, npage);
    // What cannot be populated is not told.
    if (operation.flags.includes('locked')) mlock(this.task, vpn, npage, true);
    // madvise comes after the mmap that has populated the memory.
    if (operation.advise) {
      const flag = operation.advise === 'huge' ? VM.HUGEPAGE : VM.NOHUGEPAGE;
      adviseHugepage(mm, vpn, npage, flag);
    }
  }
}

/** PAGE_ALIGN of a length in bytes: 2^64 wraps to 0. */
function roundedUp(bytes: bigint): bigint {
  return BigInt.asUintN(64, (bytes + 4095n) & ~4095n);
}

/** hugetlb mappings are as long as their pages. */
function hugeAligned({ kind, size }: MmapOperation): bigint {
  const bytes = 4096n << BigInt(HUGE_ORDERS[kind] ?? 0);
  return ((size + bytes - 1n) / bytes) * bytes;
}

/**
 * Whether devdax takes a mapping: shared, and of whole blocks of 2 MiB.
 *
 * @source drivers/dax/device.c __check_vma, 6.16
 */
function isDevdaxMapping({ flags }: MmapOperation, vpn: Vpn, npage: number): boolean {
  return flags.includes('shared') && vpn % PMD_PAGES === 0 && npage % PMD_PAGES === 0;
}

function protFlags(prot: string): number {
  return (prot.includes('r') ? VM.READ : 0) | (prot.includes('w') ? VM.WRITE : 0);
}

function vmFlags({ kind, flags, prot }: MmapOperation, ops: VmOperations): number {
  const shared = flags.includes('shared') || kind === 'bar';
  return (
    protFlags(prot) |
    (shared ? VM.SHARED : 0) |
    (HUGE_ORDERS[kind] ? VM.HUGETLB : 0) |
    (kind === 'bar' || ops instanceof SysfsBar ? VM.PFNMAP | VM.IO : 0) |
    (flags.includes('noreserve') ? VM.NORESERVE : 0)
  );
}

/**
 * Looks at the addresses that an mmap asks for, before anything is done.
 *
 * @source mm/mmap.c do_mmap, __get_unmapped_area, 6.16; recordings of family more, edge05
 */
function checkMmapRange(address: bigint, size: bigint): number {
  if (size === 0n) return -Errno.EINVAL;
  const length = roundedUp(size);
  if (length === 0n || length > TASK_SIZE_BYTES) return -Errno.ENOMEM;
  if (address > TASK_SIZE_BYTES - length) return -Errno.ENOMEM;
  return address % PAGE_BYTES === 0n ? 0 : -Errno.EINVAL;
}

/**
 * Whether memory is asked for that has to be there one day (VM_ACCOUNT): private writable memory and
 * shared anonymous memory, unless MAP_NORESERVE says otherwise; hugetlb pages have pools of their own.
 *
 * @source mm/vma.c accountable_mapping, mm/shmem.c shmem_acct_size, 6.16
 */
function isAccountable({ kind, flags, prot }: MmapOperation): boolean {
  if (flags.includes('noreserve') || HUGE_ORDERS[kind] !== undefined || kind === 'bar')
    return false;
  return flags.includes('shared') ? kind === 'anon' : prot.includes('w');
}
