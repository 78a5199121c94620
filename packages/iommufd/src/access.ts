/**
 * Accesses: in-kernel users of an I/O address space, such as mediated devices, which pin pages of it
 * and read and write them.
 *
 * @source drivers/iommu/iommufd/device.c iommufd_access_*, 7.2; reference iommufd.md §7
 */
import { Errno, PAGE_SIZE, type PageNumbers } from '@pinfold/base';
import type { Task } from '@pinfold/mm';
import type { IommufdContext } from './context.ts';
import { ioptAreaAddAccess, ioptAreaRemoveAccess } from './pages-access.ts';
import { bytes } from './traced-bytes.ts';
import type { IommufdIoas } from './ioas.ts';
import type { IommufdObject } from './objects.ts';
import { ioptPagesRwAccess } from './pages-rw.ts';
import { IOMMUFD_ACCESS_RW_WRITE, U64_MAX } from './uapi.ts';

/** What a driver does when it is asked. */
export interface AccessOps {
  /** Whether it pins pages: then addresses are whole pages. */
  readonly needsPinPages: boolean;
  /**
   * A range is unmapped: the driver unpins what it holds of it.
   *
   * @param iova first byte
   * @param length length in bytes
   */
  unmap?(iova: bigint, length: bigint): void;
}

/** An access. */
export class IommufdAccess implements IommufdObject {
  readonly type = 'access';
  readonly id: number;
  users = 0;
  /** What the driver does. */
  readonly ops: AccessOps;
  /** What addresses have to be multiples of for it, in bytes. */
  readonly iovaAlignment: number;
  /** What it is attached to. */
  ioas: IommufdIoas | null = null;
  readonly #context: IommufdContext;

  /**
   * @param context the iommufd
   * @param id its id
   * @param ops what the driver does
   * @source drivers/iommu/iommufd/device.c iommufd_access_create, 7.2
   */
  constructor(context: IommufdContext, id: number, ops: AccessOps) {
    this.#context = context;
    this.id = id;
    this.ops = ops;
    this.iovaAlignment = ops.needsPinPages ? PAGE_SIZE : 1;
  }

  /**
   * Attaches it to an I/O address space, or to another one; what it holds of the old one is given
   * back first.
   *
   * @param ioas the I/O address space
   * @returns 0, or -EADDRINUSE
   * @source drivers/iommu/iommufd/device.c iommufd_access_change_ioas, 7.2
   */
  attach(ioas: IommufdIoas): number {
    if (this.ioas === ioas) return 0;
    const error = ioas.iopt.addAccess(this);
    if (error !== 0) return error;
    this.detach();
    ioas.users++;
    this.ioas = ioas;
    return 0;
  }

  /**
   * Detaches it: the driver lets go of everything.
   *
   * @source drivers/iommu/iommufd/device.c iommufd_access_detach, 7.2
   */
  detach(): void {
    const { ioas } = this;
    if (!ioas) return;
    this.ops.unmap?.(0n, U64_MAX);
    ioas.iopt.removeAccess(this);
    this.ioas = null;
    ioas.users--;
  }

  destroy(): void {
    this.detach();
  }

  /**
   * Pins a range.
   *
   * @param iova first byte, on a page boundary of the pages
   * @param length length in bytes
   * @param pages gets the pages
   * @param flags IOMMUFD_ACCESS_RW_WRITE
   * @param current the calling process
   * @returns 0; -EINVAL for no length, a start inside a page or a mapping that is going; -EOVERFLOW;
   *   -ENOENT where nothing is mapped, or without an I/O address space; -EPERM; what pinning refuses with
   * @source drivers/iommu/iommufd/device.c iommufd_access_pin_pages, 7.2
   */
  pinPages(iova: bigint, length: bigint, pages: PageNumbers, flags: number, current: Task): number {
    const { calls } = this.#context;
    calls.enter('iommufd_access_pin_pages', ...bytes(iova), ...bytes(length), flags);
    const ret = this.#pinPages(iova, length, pages, flags, current);
    return calls.exit('iommufd_access_pin_pages', ret);
  }

  #pinPages(
    iova: bigint,
    length: bigint,
    pages: PageNumbers,
    flags: number,
    current: Task,
  ): number {
    const { refusals } = this.#context;
    const seen = { iova, length };
    if (length === 0n) {
      return refusals.refuse('iommufd_access_pin_pages: the length is not 0', Errno.EINVAL, seen);
    }
    const last = iova + length - 1n;
    if (last > U64_MAX) {
      const check = 'iommufd_access_pin_pages: the range does not wrap';
      return refusals.refuse(check, Errno.EOVERFLOW, seen);
    }
    const iopt = this.ioas?.iopt;
    if (!iopt) {
      return refusals.refuse(
        'iommufd_access_pin_pages: the access is attached',
        Errno.ENOENT,
        seen,
      );
    }
    let done = 0;
    let at = iova;
    let error = 0;
    while (error === 0) {
      const area = iopt.areaTree.first(at, at);
      const areaPages = area?.pages;
      if (!area || !areaPages) {
        const check = 'iommufd_access_pin_pages: the range is mapped as a whole';
        error = refusals.refuse(check, Errno.ENOENT, { ...seen, missing: at });
        break;
      }
      const end = area.last < last ? area.last : last;
      const startByte = area.startByte + (at - area.start);
      if (area.preventAccess || startByte % BigInt(PAGE_SIZE) !== 0n) {
        const check = 'iommufd_access_pin_pages: the mapping is not going';
        error = refusals.refuse(check, Errno.EINVAL, { ...seen, startByte });
        break;
      }
      const need = flags & IOMMUFD_ACCESS_RW_WRITE ? 2 : 1;
      if ((area.iommuProt & need) === 0) {
        const check = 'iommufd_access_pin_pages: the access is allowed';
        error = refusals.refuse(check, Errno.EPERM, { ...seen, prot: area.iommuProt });
        break;
      }
      const [first, lastIndex] = [area.indexOf(at), area.indexOf(end)];
      const out = pages.subarray(done, done + lastIndex - first + 1);
      error = ioptAreaAddAccess(area, areaPages, first, lastIndex, out, flags, current);
      if (error !== 0) break;
      done += lastIndex - first + 1;
      if (end === last) return 0;
      at = end + 1n;
    }
    if (at > iova) this.#removeAccesses(iova, at - 1n);
    return error;
  }

  /**
   * Unpins a range that was pinned in exactly this way.
   *
   * @param iova first byte
   * @param length length in bytes
   * @source drivers/iommu/iommufd/device.c iommufd_access_unpin_pages, 7.2
   */
  unpinPages(iova: bigint, length: bigint): void {
    const { calls } = this.#context;
    calls.enter('iommufd_access_unpin_pages', ...bytes(iova), ...bytes(length));
    if (this.ioas) this.#removeAccesses(iova, iova + length - 1n);
    calls.exit('iommufd_access_unpin_pages');
  }

  #removeAccesses(iova: bigint, last: bigint): void {
    const areas = this.ioas?.iopt.contiguousAreas(iova, last) ?? [];
    for (const { area, iova: from, last: to } of areas) {
      ioptAreaRemoveAccess(area, area.indexOf(from), area.indexOf(to));
    }
  }

  /**
   * Reads or writes a range.
   *
   * @param iova first byte
   * @param length length in bytes
   * @param flags IOMMUFD_ACCESS_RW_*
   * @param current the calling process
   * @returns 0; -EINVAL, -EOVERFLOW, -ENOENT, -EPERM as {@link pinPages}; what the access refuses with
   * @source drivers/iommu/iommufd/device.c iommufd_access_rw, 7.2
   */
  rw(iova: bigint, length: bigint, flags: number, current: Task): number {
    const { calls, refusals } = this.#context;
    calls.enter('iommufd_access_rw', ...bytes(iova), ...bytes(length), flags);
    const fail = (
      check: Parameters<typeof refusals.refuse>[0],
      errno: number,
      details: Readonly<Record<string, bigint | number>> = {},
    ): number =>
      calls.exit('iommufd_access_rw', refusals.refuse(check, errno, { iova, length, ...details }));
    if (length === 0n) return fail('iommufd_access_pin_pages: the length is not 0', Errno.EINVAL);
    const last = iova + length - 1n;
    if (last > U64_MAX) {
      return fail('iommufd_access_pin_pages: the range does not wrap', Errno.EOVERFLOW);
    }
    const iopt = this.ioas?.iopt;
    if (!iopt) return fail('iommufd_access_pin_pages: the access is attached', Errno.ENOENT);
    for (let at = iova; ;) {
      const area = iopt.areaTree.first(at, at);
      const areaPages = area?.pages;
      if (!area || !areaPages) {
        const check = 'iommufd_access_pin_pages: the range is mapped as a whole';
        return fail(check, Errno.ENOENT, { missing: at });
      }
      const end = area.last < last ? area.last : last;
      if (area.preventAccess) {
        return fail('iommufd_access_pin_pages: the mapping is not going', Errno.EINVAL);
      }
      const need = flags & IOMMUFD_ACCESS_RW_WRITE ? 2 : 1;
      if ((area.iommuProt & need) === 0) {
        return fail('iommufd_access_pin_pages: the access is allowed', Errno.EPERM);
      }
      const startByte = area.startByte + (at - area.start);
      const ret = ioptPagesRwAccess(areaPages, startByte, end - at + 1n, flags, current);
      if (ret !== 0) return calls.exit('iommufd_access_rw', ret);
      if (end === last) return calls.exit('iommufd_access_rw', 0);
      at = end + 1n;
    }
  }
}
