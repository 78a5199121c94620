/**
 * Page arithmetic. Addresses inside the model are page frame numbers in a `number`: 2^64 bytes are
 * 2^52 pages, exact in a double. Byte addresses exist only where bytes enter or leave, as `bigint`.
 *
 * A page number is wider than JavaScript's 32-bit operators. `pn & mask` is still exact for the low
 * 31 bits (ToInt32 is modulo 2^32), and `(pn / 2 ** k) | 0` is exact while the quotient is below
 * 2^31; hot loops split a page number once in this way and go on with small integers.
 */
import { InputError } from './errors.ts';

declare const unit: unique symbol;

/** Physical page frame number (pages). */
export type Pfn = number & { readonly [unit]?: 'pfn' };
/** Virtual page number: a user address in pages. */
export type Vpn = number & { readonly [unit]?: 'vpn' };
/** I/O virtual address in pages. */
export type IovaPn = number & { readonly [unit]?: 'iova' };
/** A `struct page *`: opaque, made and read by the memory map only. */
export type Page = number & { readonly [unit]?: 'page' };

/** log2 of the page size in bytes. */
export const PAGE_SHIFT = 12;
/** Page size in bytes. */
export const PAGE_SIZE = 4096;
/** Folio order of a 2 MiB page: 512 pages, one PMD leaf. */
export const PMD_ORDER = 9;
/** Folio order of a 1 GiB page: 262,144 pages, one PUD leaf. */
export const PUD_ORDER = 18;
/** Entries of one page-table page. */
export const PTRS_PER_TABLE = 512;

/**
 * Byte address to page number; the offset inside the page is dropped.
 *
 * @param address byte address, 0 to 2^64 - 1
 * @param pageShift log2 of the page size in bytes
 * @returns page number, exact
 */
export function pageNumber(address: bigint, pageShift: number = PAGE_SHIFT): number {
  return Number(address >> BigInt(pageShift));
}

/**
 * Page number to byte address.
 *
 * @param pn page number, below 2^64 bytes
 * @param pageShift log2 of the page size in bytes
 * @returns byte address of the page's first byte
 */
export function byteAddress(pn: number, pageShift: number = PAGE_SHIFT): bigint {
  return BigInt(pn) << BigInt(pageShift);
}

const PAGES_OF_ORDER: readonly number[] = Array.from({ length: 53 }, (_, order) => 2 ** order);

/**
 * Pages of an order, from a table: a computed power costs a call.
 *
 * @param order log2 of the size in pages, 0 to 52
 * @returns 2^order
 */
export function pagesOf(order: number): number {
  return PAGES_OF_ORDER[order];
}

/**
 * Offset of a page in the aligned block of 2^order pages that contains it.
 *
 * @param pn page number
 * @param order log2 of the block's size in pages
 * @returns 0 to 2^order - 1, in pages
 */
export function offsetIn(pn: number, order: number): number {
  return order <= 30 ? pn & ((1 << order) - 1) : pn % pagesOf(order);
}

/**
 * Whether a page number is a multiple of 2^order, for page numbers of any width.
 *
 * @param pn page number
 * @param order log2 of the alignment in pages
 * @returns true if aligned
 */
export function isAligned(pn: number, order: number): boolean {
  return offsetIn(pn, order) === 0;
}

const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/**
 * Reads a size such as `16G`: a number with an optional suffix K, M, G, T (powers of 1024) or
 * P (pages).
 *
 * @param text the size as written
 * @param place the flag or the place in a file, for the message
 * @param pageSize bytes of a page
 * @returns size in bytes, a whole number of at most 2^53 - 1
 * @throws {InputError} when the text is no such size
 */
export function parseSize(text: string, place: string, pageSize: number = PAGE_SIZE): number {
  const match = /^(\d+)([PKMGT]?)$/i.exec(text.trim());
  const suffix = (match?.[2] ?? '').toUpperCase();
  const factor = suffix === 'P' ? pageSize : SUFFIXES[suffix];
  const bytes = match && factor !== undefined ? Number(match[1]) * factor : NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new InputError(
      place,
      `a size like 4096, 512K, 16M, 16G, 1T or 8P (${pageSize / 1024} KiB pages)`,
      `'${text}'`,
    );
  }
  return bytes;
}

/**
 * Bytes as a size with the largest suffix that divides them.
 *
 * @param bytes a whole number of bytes
 * @returns for example `16G`, `2M`, `4097`
 */
export function formatSize(bytes: number): string {
  for (const suffix of ['T', 'G', 'M', 'K'] as const) {
    const factor = SUFFIXES[suffix] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${suffix}`;
  }
  return String(bytes);
}
