/**
 * An open iommufd: its objects and its ioctls, every check in the kernel's order.
 *
 * Left out: dirty tracking, nested domains, fault queues, viommus.
 *
 * @source drivers/iommu/iommufd/main.c, ioas.c, 7.2; reference iommufd.md §4
 */
import { Errno, PAGE_SIZE, pageNumber } from '@pinfold/base';
import { IOMMU, type IommuUnit } from '@pinfold/iommu';
import type { PciBar, Task } from '@pinfold/mm';
import { IommufdAccess, type AccessOps } from './access.ts';
import { changeProcess } from './change-process.ts';
import { IommufdContext, type IommufdOptions } from './context.ts';
import { IommufdDevice } from './device.ts';
import { IommufdHwptPaging, IommufdIoas } from './ioas.ts';
import type { IoPagetable, PagesSlice, Placed } from './io-pagetable.ts';
import { bytes } from './traced-bytes.ts';
import { IommufdObjects } from './objects.ts';
import { ACCOUNT_MODE, IoptPages, pagesOfBytes, type PagesSource } from './pages.ts';
import type { IommufdRefusal } from './refusal.ts';
import { revokeBar } from './revoke.ts';
import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
  U64_MAX,
  type IommuIoasCopy,
  type IommuIoasMap,
  type IommuIoasMapFile,
  type IovaRange,
} from './uapi.ts';

const MAP_FLAGS = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
const PAGE_BYTES = BigInt(PAGE_SIZE);

/** What an ioctl that makes a mapping has done. */
export interface MapResult {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** Where it is mapped; on an error, what was asked for. */
  readonly iova: bigint;
}

/** What IOMMU_IOAS_UNMAP has done. */
export interface UnmapResult {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** Bytes that were unmapped; on an error, the length that was asked for. */
  readonly length: bigint;
}

/** What IOMMU_OPTION has done. */
export interface OptionResult {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** The value in the structure. */
  readonly value: bigint;
}

/** What IOMMU_IOAS_IOVA_RANGES has done. */
export interface RangesResult {
  /** 0; -EMSGSIZE if the array is too small. */
  readonly ret: number;
  /** Ranges that there are. */
  readonly num: number;
  /** What addresses have to be multiples of, in bytes; 0 where the ioctl did not get there. */
  readonly alignment: number;
  /** Those that fit the array. */
  readonly ranges: readonly IovaRange[];
}

/** An open iommufd. */
export class Iommufd {
  /** What its objects share. */
  readonly context: IommufdContext;
  /** Its objects. */
  readonly objects: IommufdObjects;
  /** What new pages of a process without CAP_IPC_LOCK are charged to. */
  accountMode: number = ACCOUNT_MODE.USER;
  /** The I/O address space that the VFIO container's ioctls use. */
  vfioIoas: IommufdIoas | null = null;

  /** @param options what it is opened with */
  constructor(options: IommufdOptions) {
    this.context = new IommufdContext(options);
    this.objects = new IommufdObjects(this.context);
  }

  /** Why the last call was refused; null if it was not, or for a reason without a check. */
  get refusal(): IommufdRefusal | null {
    return this.context.refusals.last;
  }

  /**
   * IOMMU_IOAS_ALLOC.
   *
   * @returns the I/O address space
   */
  ioasAlloc(): IommufdIoas {
    this.begin();
    return this.objects.add((id) => new IommufdIoas(this.context, id));
  }

  /**
   * IOMMU_DESTROY.
   *
   * @param id an object
   * @returns 0, -ENOENT or -EBUSY
   */
  destroy(id: number): number {
    this.begin();
    return this.objects.remove(id);
  }

  /**
   * IOMMU_IOAS_MAP.
   *
   * @param current the calling process
   * @param cmd the structure
   * @returns 0, or an errno of the reference's §15
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_map, 7.2
   */
  ioasMap(current: Task, cmd: IommuIoasMap): MapResult {
    const { calls } = this.context;
    this.begin();
    calls.enter('iommufd_ioas_map');
    const result = this.#mapped(cmd.iova, this.#ioasMap(current, cmd));
    calls.exit('iommufd_ioas_map', result.ret);
    return result;
  }

  #ioasMap(current: Task, cmd: IommuIoasMap): Placed {
    const ioas = this.#checkedIoas(cmd);
    if (typeof ioas === 'number') return { error: ioas };
    const at = cmd.flags & IOMMU_IOAS_MAP_FIXED_IOVA ? cmd.iova : null;
    return this.mapUserPages(current, ioas.iopt, cmd.userVa, cmd.length, at, protOf(cmd.flags));
  }

  /**
   * Maps memory of a process.
   *
   * @param current the calling process
   * @param iopt the I/O address space
   * @param uptr address of the memory
   * @param length length in bytes
   * @param at where to map it; null: choose a place
   * @param prot access bits of the IOMMU
   * @returns the place, or a negative errno
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_map_user_pages, 7.2
   */
  mapUserPages(
    current: Task,
    iopt: IoPagetable,
    uptr: bigint,
    length: bigint,
    at: bigint | null,
    prot: number,
  ): Placed {
    const { calls } = this.context;
    calls.enter('iopt_map_user_pages', ...bytes(uptr), ...bytes(length), prot);
    const source = { type: 'user', vpn: pageNumber(uptr) } as const;
    const slice = this.#allocPages(current, source, uptr, length, prot);
    const placed = 'error' in slice ? slice : iopt.mapPages([slice], length, at, prot, current);
    calls.exit('iopt_map_user_pages', 'error' in placed ? placed.error : 0);
    return placed;
  }

  /**
   * IOMMU_IOAS_MAP_FILE.
   *
   * @param current the calling process
   * @param cmd the structure
   * @returns 0, or an errno
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_map_file, 7.2
   */
  ioasMapFile(current: Task, cmd: IommuIoasMapFile): MapResult {
    const { calls, rules } = this.context;
    this.begin();
    if (!rules.mapFile) return { ret: -Errno.ENOTTY, iova: cmd.iova };
    calls.enter('iommufd_ioas_map_file');
    const result = this.#mapped(cmd.iova, this.#ioasMapFile(current, cmd));
    calls.exit('iommufd_ioas_map_file', result.ret);
    return result;
  }

  #ioasMapFile(current: Task, cmd: IommuIoasMapFile): Placed {
    const { calls } = this.context;
    const { fd, start, length } = cmd;
    const ioas = this.#checkedIoas(cmd);
    if (typeof ioas === 'number') return { error: ioas };
    calls.enter('iopt_map_file_pages', fd, ...bytes(start), ...bytes(length));
    const prot = protOf(cmd.flags);
    const at = cmd.flags & IOMMU_IOAS_MAP_FIXED_IOVA ? cmd.iova : null;
    const slice = this.#filePages(current, cmd, prot);
    const placed =
      'error' in slice ? slice : ioas.iopt.mapPages([slice], length, at, prot, current);
    calls.exit('iopt_map_file_pages', 'error' in placed ? placed.error : 0);
    return placed;
  }

  /** iopt_map_file_pages: a dma-buf is tried first. */
  #filePages(
    current: Task,
    { file, fd, start, length }: IommuIoasMapFile,
    prot: number,
  ): PagesSlice | { readonly error: number } {
    const { refusals, rules, calls } = this.context;
    if (length === 0n || start + length > U64_MAX) {
      const source = { type: 'user', vpn: 0 } as const;
      return this.#allocPages(current, source, start, length, prot);
    }
    if (file?.kind === 'dmabuf' && rules.dmabuf) {
      const startByte = Number(start % PAGE_BYTES);
      calls.enter('iopt_alloc_dmabuf_pages', startByte, ...bytes(start), ...bytes(length));
      const slice = this.#dmabufPages(current, file.dmabuf, start, length, prot);
      calls.exit('iopt_alloc_dmabuf_pages', 'error' in slice ? slice.error : 0);
      return slice;
    }
    if (file?.kind !== 'file') {
      const check = 'iopt_alloc_file_pages: the descriptor is open';
      return { error: refusals.refuse(check, Errno.EBADF, { fd }) };
    }
    const source = { type: 'file', ...file, pgoff: pageNumber(start) } as const;
    return this.#allocPages(current, source, start, length, prot);
  }

  #dmabufPages(
    current: Task,
    dmabuf: Extract<IommuIoasMapFile['file'], { kind: 'dmabuf' }>['dmabuf'],
    start: bigint,
    length: bigint,
    prot: number,
  ): PagesSlice | { readonly error: number } {
    const { refusals } = this.context;
    if (start + length > BigInt(dmabuf.npage) * PAGE_BYTES) {
      const check = 'iopt_map_dmabuf: the range lies inside the buffer';
      const details = { start, length, bufferPages: dmabuf.npage };
      return { error: refusals.refuse(check, Errno.EINVAL, details) };
    }
    if (dmabuf.bar === null) {
      const check = 'iopt_map_dmabuf: the exporter is vfio-pci';
      return { error: refusals.refuse(check, Errno.EOPNOTSUPP) };
    }
    const source = { type: 'dmabuf', dmabuf, pgoff: pageNumber(start) } as const;
    const slice = this.#allocPages(current, source, start, length, prot);
    if ('error' in slice || dmabuf.bar.enabled) return slice;
    slice.pages.put();
    return { error: refusals.refuse('iopt_map_dmabuf: the buffer is not revoked', Errno.ENODEV) };
  }

  /** iopt_alloc_pages, iopt_alloc_user_pages. */
  #allocPages(
    current: Task,
    source: PagesSource,
    start: bigint,
    length: bigint,
    prot: number,
  ): PagesSlice | { readonly error: number } {
    const { refusals } = this.context;
    if (length === 0n) {
      const check = 'iopt_alloc_pages: the length is not 0';
      return { error: refusals.refuse(check, Errno.EINVAL, { start }) };
    }
    // check_add_overflow of the end, which is one after the last byte.
    if (start + length > U64_MAX) {
      const check = 'iopt_alloc_pages: the range does not wrap';
      return { error: refusals.refuse(check, Errno.EOVERFLOW, { start, length }) };
    }
    const startByte = start % PAGE_BYTES;
    const npages = pagesOfBytes(Number(startByte), length);
    const free = current.capIpcLock || source.type === 'dmabuf';
    const mode = free ? ACCOUNT_MODE.NONE : this.accountMode;
    const writable = (prot & IOMMU.WRITE) !== 0;
    const pages = new IoptPages(this.context, source, npages, writable, mode, current);
    return { pages, startByte, length };
  }

  /** The checks that all ioctls that map have: flags, then limits, then access, then the id. */
  #checkedIoas({
    flags,
    reserved = 0,
    iova,
    length,
    ioasId,
  }: Pick<IommuIoasMap, 'flags' | 'reserved' | 'iova' | 'length' | 'ioasId'>):
    IommufdIoas | number {
    const { refusals } = this.context;
    if ((flags & ~MAP_FLAGS) !== 0 || reserved !== 0) {
      const check = 'iommufd_ioas_map: known flags and zero reserved fields';
      return refusals.refuse(check, Errno.EOPNOTSUPP, { flags, reserved });
    }
    if (iova >= U64_MAX || length >= U64_MAX) {
      const check = 'iommufd_ioas_map: iova and length below the end';
      return refusals.refuse(check, Errno.EOVERFLOW, { iova, length });
    }
    if ((flags & (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)) === 0) {
      const check = 'iommufd_ioas_map: readable or writeable';
      return refusals.refuse(check, Errno.EINVAL, { flags });
    }
    return this.#ioas(ioasId);
  }

  #ioas(id: number): IommufdIoas | number {
    const object = this.objects.get(id, 'ioas');
    return object instanceof IommufdIoas || typeof object === 'number' ? object : -Errno.ENOENT;
  }

  #mapped(iova: bigint, placed: Placed): MapResult {
    return 'error' in placed ? { ret: placed.error, iova } : { ret: 0, iova: placed.iova };
  }

  /**
   * IOMMU_IOAS_COPY: maps what another I/O address space has mapped; its pages are shared.
   *
   * @param current the calling process
   * @param cmd the structure
   * @returns 0; -ENOENT where the source is not mapped as a whole; -EPERM; as {@link ioasMap}
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_copy, 7.2
   */
  ioasCopy(current: Task, cmd: IommuIoasCopy): MapResult {
    const { calls } = this.context;
    this.begin();
    calls.enter('iommufd_ioas_copy');
    const result = this.#mapped(cmd.dstIova, this.#ioasCopy(current, cmd));
    calls.exit('iommufd_ioas_copy', result.ret);
    return result;
  }

  #ioasCopy(current: Task, cmd: IommuIoasCopy): Placed {
    const { calls, refusals } = this.context;
    const { flags, length, srcIova, dstIova } = cmd;
    if ((flags & ~MAP_FLAGS) !== 0) {
      const check = 'iommufd_ioas_map: known flags and zero reserved fields';
      return { error: refusals.refuse(check, Errno.EOPNOTSUPP, { flags }) };
    }
    if (length >= U64_MAX || srcIova >= U64_MAX || dstIova >= U64_MAX) {
      const check = 'iommufd_ioas_map: iova and length below the end';
      return { error: refusals.refuse(check, Errno.EOVERFLOW, { length, srcIova, dstIova }) };
    }
    if ((flags & (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)) === 0) {
      const check = 'iommufd_ioas_map: readable or writeable';
      return { error: refusals.refuse(check, Errno.EINVAL, { flags }) };
    }
    const from = this.#ioas(cmd.srcIoasId);
    if (typeof from === 'number') return { error: from };
    calls.enter('iopt_get_pages', ...bytes(srcIova), ...bytes(length));
    const slices = this.#pagesAt(from.iopt, srcIova, length);
    calls.exit('iopt_get_pages', typeof slices === 'number' ? slices : 0);
    if (typeof slices === 'number') return { error: slices };
    const to = this.#ioas(cmd.dstIoasId);
    if (typeof to === 'number') {
      for (const { pages } of slices) pages.put();
      return { error: to };
    }
    const at = flags & IOMMU_IOAS_MAP_FIXED_IOVA ? dstIova : null;
    return to.iopt.mapPages(slices, length, at, protOf(flags), current);
  }

  /** iopt_get_pages: slices of what is mapped in a range, with a reference each. */
  #pagesAt(iopt: IoPagetable, iova: bigint, length: bigint): PagesSlice[] | number {
    const { refusals } = this.context;
    if (length === 0n) {
      return refusals.refuse('iopt_alloc_pages: the length is not 0', Errno.EINVAL, { iova });
    }
    const last = iova + length - 1n;
    if (last > U64_MAX) {
      const check = 'iopt_alloc_pages: the range does not wrap';
      return refusals.refuse(check, Errno.EOVERFLOW, { iova, length });
    }
    const areas = iopt.contiguousAreas(iova, last);
    if (areas === null) {
      const check = 'iopt_get_pages: the source is mapped as a whole';
      return refusals.refuse(check, Errno.ENOENT, { iova, length });
    }
    return areas.flatMap(({ area, iova: from, last: to }) => {
      const { pages } = area;
      if (pages === null) return [];
      pages.users++;
      return [{ pages, startByte: area.startByte + (from - area.start), length: to - from + 1n }];
    });
  }

  /**
   * IOMMU_IOAS_UNMAP.
   *
   * @param ioasId the I/O address space
   * @param iova first byte
   * @param length length in bytes; 2^64 - 1 from 0 on: everything
   * @returns 0; -ENOENT where nothing is mapped, or a mapping is cut; -EINVAL; -EOVERFLOW; -EBUSY;
   *   -EDEADLOCK
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_unmap, 7.2
   */
  ioasUnmap(ioasId: number, iova: bigint, length: bigint): UnmapResult {
    const { calls } = this.context;
    this.begin();
    calls.enter('iommufd_ioas_unmap');
    const result = this.#ioasUnmap(ioasId, iova, length);
    calls.exit('iommufd_ioas_unmap', result.ret);
    return result;
  }

  #ioasUnmap(ioasId: number, iova: bigint, length: bigint): UnmapResult {
    const { refusals } = this.context;
    const ioas = this.#ioas(ioasId);
    if (typeof ioas === 'number') return { ret: ioas, length };
    if (iova === 0n && length === U64_MAX) {
      const { ret, bytes: unmapped } = ioas.iopt.unmapIovaRange(0n, U64_MAX);
      return { ret, length: ret === 0 ? unmapped : length };
    }
    const details = { iova, length };
    if (iova >= U64_MAX || length >= U64_MAX) {
      const check = 'iommufd_ioas_map: iova and length below the end';
      return { ret: refusals.refuse(check, Errno.EOVERFLOW, details), length };
    }
    if (length === 0n) {
      const check = 'iopt_unmap_iova: the length is not 0';
      return { ret: refusals.refuse(check, Errno.EINVAL, details), length };
    }
    const last = iova + length - 1n;
    if (last > U64_MAX) {
      const check = 'iopt_unmap_iova: the range does not wrap';
      return { ret: refusals.refuse(check, Errno.EOVERFLOW, details), length };
    }
    const { ret, bytes: unmapped } = ioas.iopt.unmapIovaRange(iova, last);
    if (ret !== 0) return { ret, length };
    if (unmapped > 0n) return { ret: 0, length: unmapped };
    const check = 'iopt_unmap_iova_range: something is mapped there';
    return { ret: refusals.refuse(check, Errno.ENOENT, details), length };
  }

  /**
   * IOMMU_IOAS_IOVA_RANGES.
   *
   * @param ioasId the I/O address space
   * @param num ranges that the caller has room for
   * @param reserved must be 0
   * @returns the ranges that are not reserved, as many as fit
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_iova_ranges, 7.2
   */
  iovaRanges(ioasId: number, num: number, reserved = 0): RangesResult {
    const { refusals } = this.context;
    this.begin();
    const refused = { num, alignment: 0, ranges: [] };
    if (reserved !== 0) {
      const check = 'iommufd_ioas_map: known flags and zero reserved fields';
      return { ...refused, ret: refusals.refuse(check, Errno.EOPNOTSUPP, { reserved }) };
    }
    const ioas = this.#ioas(ioasId);
    if (typeof ioas === 'number') return { ...refused, ret: ioas };
    const all = ioas.iopt.iovaRanges();
    const found = {
      num: all.length,
      alignment: ioas.iopt.iovaAlignment,
      ranges: all.slice(0, num),
    };
    if (all.length <= num) return { ...found, ret: 0 };
    const check = 'iommufd_ioas_iova_ranges: the array holds all ranges';
    return { ...found, ret: refusals.refuse(check, Errno.EMSGSIZE, { num, ranges: all.length }) };
  }

  /**
   * IOMMU_IOAS_ALLOW_IOVAS: replaces the ranges from which places are chosen.
   *
   * @param ioasId the I/O address space
   * @param ranges the ranges; none: all addresses
   * @returns 0; -ENOENT; -EINVAL for ranges that are empty, or overlap; -EADDRINUSE for reserved ones
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_allow_iovas, 7.2
   */
  allowIovas(ioasId: number, ranges: readonly IovaRange[]): number {
    const { refusals } = this.context;
    this.begin();
    const ioas = this.#ioas(ioasId);
    if (typeof ioas === 'number') return ioas;
    const { iopt } = ioas;
    for (const [i, { start, last }] of ranges.entries()) {
      const details = { start, last };
      if (start >= last) {
        const check = 'iommufd_ioas_allow_iovas: the ranges are in order';
        return refusals.refuse(check, Errno.EINVAL, details);
      }
      const overlaps = ranges
        .slice(0, i)
        .some((other) => other.start <= last && start <= other.last);
      if (!overlaps) continue;
      const check = 'iommufd_ioas_allow_iovas: the ranges do not overlap';
      return refusals.refuse(check, Errno.EINVAL, details);
    }
    for (const { start, last } of ranges) {
      if (iopt.reservedTree.first(start, last) === null) continue;
      const check = 'iopt_set_allow_iova: nothing of it is reserved';
      return refusals.refuse(check, Errno.EADDRINUSE, { start, last });
    }
    iopt.allowedTree.clear();
    for (const range of ranges) iopt.allowedTree.insert(range);
    return 0;
  }

  /**
   * IOMMU_OPTION.
   *
   * @param current the calling process
   * @param option IOMMU_OPTION_RLIMIT_MODE or IOMMU_OPTION_HUGE_PAGES
   * @param op IOMMU_OPTION_OP_SET or IOMMU_OPTION_OP_GET
   * @param value value to set
   * @param objectId the object, where the option has one
   * @returns 0 and the value, or an errno: EOPNOTSUPP, EPERM, EBUSY, EINVAL, ENOENT, EADDRINUSE
   * @source drivers/iommu/iommufd/main.c iommufd_option, ioas.c iommufd_ioas_option, 7.2
   */
  option(current: Task, option: number, op: number, value: bigint, objectId: number): OptionResult {
    const { refusals } = this.context;
    this.begin();
    const unknown = (): OptionResult => {
      const check = 'iommufd_option: known option and operation';
      return { ret: refusals.refuse(check, Errno.EOPNOTSUPP, { option, op, objectId }), value };
    };
    if (option === IOMMU_OPTION_RLIMIT_MODE) {
      if (objectId !== 0) return unknown();
      if (!current.capSysResource) {
        const check = 'iommufd_option_rlimit_mode: CAP_SYS_RESOURCE';
        return { ret: refusals.refuse(check, Errno.EPERM), value };
      }
      if (op === IOMMU_OPTION_OP_GET) {
        return { ret: 0, value: this.accountMode === ACCOUNT_MODE.MM ? 1n : 0n };
      }
      return op === IOMMU_OPTION_OP_SET ? { ret: this.#setRlimitMode(value), value } : unknown();
    }
    if (option !== IOMMU_OPTION_HUGE_PAGES) return unknown();
    const ioas = this.#ioas(objectId);
    if (typeof ioas === 'number') return { ret: ioas, value };
    if (op === IOMMU_OPTION_OP_GET) {
      return { ret: 0, value: ioas.iopt.disableLargePages ? 0n : 1n };
    }
    if (op !== IOMMU_OPTION_OP_SET) return unknown();
    if (value === 0n) return { ret: ioas.iopt.doDisableLargePages(), value };
    if (value === 1n) return { ret: ioas.iopt.enableLargePages(), value };
    return { ret: this.#refuseValue(value), value };
  }

  #setRlimitMode(value: bigint): number {
    const { refusals } = this.context;
    if (this.objects.size > 0) {
      const check = 'iommufd_option_rlimit_mode: before the first object';
      return refusals.refuse(check, Errno.EBUSY, { objects: this.objects.size });
    }
    if (value !== 0n && value !== 1n) return this.#refuseValue(value);
    this.accountMode = value === 1n ? ACCOUNT_MODE.MM : ACCOUNT_MODE.USER;
    return 0;
  }

  #refuseValue(value: bigint): number {
    const check = 'iommufd_ioas_option: the value is 0 or 1';
    return this.context.refusals.refuse(check, Errno.EINVAL, { value });
  }

  /**
   * IOMMU_IOAS_CHANGE_PROCESS: the calling process takes over all pages, which have to be of files.
   *
   * @param current the calling process
   * @returns 0; -EINVAL for other pages, and after it has taken over those of a process that has gone;
   *   -ENOMEM over its limit
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_change_process, 7.2
   */
  changeProcess(current: Task): number {
    this.begin();
    if (!this.context.rules.changeProcess) return -Errno.ENOTTY;
    return changeProcess(this.context, this.objects, current);
  }

  /**
   * VFIO_DEVICE_BIND_IOMMUFD.
   *
   * @param unit the IOMMU that the device is behind
   * @returns the device
   */
  bind(unit: IommuUnit): IommufdDevice {
    this.begin();
    return this.objects.add((id) => new IommufdDevice(this.context, this.objects, id, unit));
  }

  /**
   * The end of a binding: the device's file is closed.
   *
   * @param device the device
   */
  unbind(device: IommufdDevice): void {
    this.begin();
    this.objects.drop(device);
  }

  /**
   * VFIO_DEVICE_ATTACH_IOMMUFD_PT; a device that is attached changes over.
   *
   * @param current the calling process
   * @param device the device
   * @param ptId a page table or an I/O address space
   * @returns 0 or a negative errno
   */
  attach(current: Task, device: IommufdDevice, ptId: number): number {
    this.begin();
    return device.attach(ptId, current);
  }

  /**
   * VFIO_DEVICE_DETACH_IOMMUFD_PT.
   *
   * @param device the device
   */
  detach(device: IommufdDevice): void {
    this.begin();
    device.detach();
  }

  /**
   * IOMMU_HWPT_ALLOC of a paging domain: it is filled at once.
   *
   * @param current the calling process
   * @param device a device whose IOMMU is to use it
   * @param ioasId the I/O address space
   * @returns the page table, or a negative errno
   * @source drivers/iommu/iommufd/hw_pagetable.c iommufd_hwpt_alloc, 7.2; recording c04
   */
  hwptAlloc(current: Task, device: IommufdDevice, ioasId: number): IommufdHwptPaging | number {
    this.begin();
    const ioas = this.#ioas(ioasId);
    if (typeof ioas === 'number') return ioas;
    const hwpt = this.objects.add(
      (id) => new IommufdHwptPaging(this.context, id, ioas, device.unit, false),
    );
    const ret = ioas.iopt.addDomain(hwpt.domain, current);
    if (ret === 0) return hwpt;
    this.objects.drop(hwpt);
    return ret;
  }

  /**
   * Makes an access of a driver.
   *
   * @param ops what the driver does
   * @param ioasId the I/O address space that it is attached to
   * @returns the access, or a negative errno
   */
  accessCreate(ops: AccessOps, ioasId: number): IommufdAccess | number {
    this.begin();
    const ioas = this.#ioas(ioasId);
    if (typeof ioas === 'number') return ioas;
    const access = this.objects.add((id) => new IommufdAccess(this.context, id, ops));
    const ret = access.attach(ioas);
    if (ret === 0) return access;
    this.objects.drop(access);
    return ret;
  }

  /**
   * The memory of a BAR is switched off: what is mapped of its dma-bufs goes at once.
   *
   * @param bar the BAR
   */
  revoke(bar: PciBar): void {
    revokeBar(this.objects, bar);
  }

  /** The last file goes: so does everything. */
  close(): void {
    this.begin();
    this.objects.clear();
  }

  /** A call begins: nothing has been refused. */
  begin(): void {
    this.context.refusals.last = null;
  }
}

/**
 * Access bits of the IOMMU for flags of IOMMU_IOAS_MAP.
 *
 * @param flags IOMMU_IOAS_MAP_*
 * @returns {@link IOMMU} bits
 * @source drivers/iommu/iommufd/ioas.c conv_iommu_prot, 7.2
 */
function protOf(flags: number): number {
  return (
    IOMMU.CACHE |
    (flags & IOMMU_IOAS_MAP_WRITEABLE ? IOMMU.WRITE : 0) |
    (flags & IOMMU_IOAS_MAP_READABLE ? IOMMU.READ : 0)
  );
}
