/**
 * The bytes of page frames, kept where something was written: a page that is not kept reads as
 * zeros. Copies of pages copy them, and a folio that is freed forgets them.
 *
 * Nothing else of the model looks at bytes. A machine whose bytes nobody reads has no contents
 * (`Memory.contents` is null), and pays one test per folio.
 *
 * @source arch/x86/lib/copy_user_64.S, lib/usercopy.c _copy_from_user, 6.16
 */
import { byteAddress, pageNumber, type Pfn, type Vpn } from '@pinfold/base';
import { touchPage } from './fault.ts';
import type { MmStruct } from './mm-struct.ts';

/** What is written in physical memory. */
export class PageContents {
  /** Bytes of a page. */
  readonly pageSize: number;
  readonly #pages = new Map<Pfn, Uint8Array>();
  /** Pages with one byte that is not 0, by its offset and value: shared until they are written. */
  readonly #oneByte = new Map<number, Uint8Array>();
  readonly #shared = new WeakSet<Uint8Array>();

  /** @param pageSize bytes of a page */
  constructor(pageSize: number) {
    this.pageSize = pageSize;
  }

  /**
   * The bytes of a page, for reading.
   *
   * @param pfn page frame
   * @returns its bytes, or null if all are 0
   */
  read(pfn: Pfn): Uint8Array | null {
    return this.#pages.get(pfn) ?? null;
  }

  /**
   * The bytes of a page, for writing.
   *
   * @param pfn page frame
   * @returns its bytes, which are its own
   */
  write(pfn: Pfn): Uint8Array {
    const known = this.#pages.get(pfn);
    if (known && !this.#shared.has(known)) return known;
    const own = known ? known.slice() : new Uint8Array(this.pageSize);
    this.#pages.set(pfn, own);
    return own;
  }

  /**
   * Writes one byte of a page.
   *
   * @param pfn page frame
   * @param offset offset in the page, in bytes
   * @param byte the value
   */
  writeByte(pfn: Pfn, offset: number, byte: number): void {
    const known = this.#pages.get(pfn);
    if (known?.[offset] === byte) return;
    if (known) this.write(pfn)[offset] = byte;
    else this.#pages.set(pfn, this.#pageOfOneByte(offset, byte));
  }

  /**
   * Copies pages.
   *
   * @param from first page frame to copy
   * @param to first page frame of the copy, which is new and reads as zeros
   * @param npage length in pages
   */
  copy(from: Pfn, to: Pfn, npage: number): void {
    for (let i = 0; i < npage; i++) {
      const page = this.#pages.get(from + i);
      if (!page) continue;
      this.#shared.add(page);
      this.#pages.set(to + i, page);
    }
  }

  /**
   * Forgets pages that are free.
   *
   * @param pfn first page frame
   * @param npage length in pages
   */
  drop(pfn: Pfn, npage: number): void {
    if (this.#pages.size === 0) return;
    for (let i = 0; i < npage; i++) this.#pages.delete(pfn + i);
  }

  #pageOfOneByte(offset: number, byte: number): Uint8Array {
    const key = byte * this.pageSize + offset;
    let page = this.#oneByte.get(key);
    if (!page) {
      page = new Uint8Array(this.pageSize);
      page[offset] = byte;
      this.#oneByte.set(key, page);
      this.#shared.add(page);
    }
    return page;
  }
}

/**
 * Reads memory of a process, page by page, faulting as the process would (copy_from_user). What
 * cannot be read is zeros in the buffer.
 *
 * @param mm address space
 * @param address first byte
 * @param buffer gets the bytes
 * @returns bytes that were not copied
 * @source lib/usercopy.c _copy_from_user, 6.16
 */
export function readUser(mm: MmStruct, address: bigint, buffer: Uint8Array): number {
  const { contents } = mm.memory;
  const left = eachPage(mm, address, buffer.length, false, (pfn, offset, at, length) => {
    const page = contents?.read(pfn);
    if (page) buffer.set(page.subarray(offset, offset + length), at);
    else buffer.fill(0, at, at + length);
  });
  buffer.fill(0, buffer.length - left);
  return left;
}

/**
 * Writes memory of a process, page by page, faulting as the process would (copy_to_user).
 *
 * @param mm address space
 * @param address first byte
 * @param buffer the bytes
 * @returns bytes that were not copied
 * @source lib/usercopy.c _copy_to_user, 6.16
 */
export function writeUser(mm: MmStruct, address: bigint, buffer: Uint8Array): number {
  const { contents } = mm.memory;
  return eachPage(mm, address, buffer.length, true, (pfn, offset, at, length) => {
    contents?.write(pfn).set(buffer.subarray(at, at + length), offset);
  });
}

/** Visits the pages of a range up to the first that cannot be accessed; returns the bytes left. */
function eachPage(
  mm: MmStruct,
  address: bigint,
  size: number,
  write: boolean,
  visit: (pfn: Pfn, offset: number, at: number, length: number) => void,
): number {
  const { pageShift, pageSize } = mm.pageTable.geometry;
  let vpn: Vpn = pageNumber(address, pageShift);
  let offset = Number(address - byteAddress(vpn, pageShift));
  let at = 0;
  while (at < size) {
    if (touchPage(mm, vpn, write) !== 0) break;
    const length = Math.min(pageSize - offset, size - at);
    visit(mm.pageTable.pfnAt(vpn), offset, at, length);
    at += length;
    offset = 0;
    vpn++;
  }
  return size - at;
}
