/** Dirty bitmaps as arguments of ops. */
import { bytes, optional, positiveBytes, type Argument } from '@pinfold/scenario';

/** Bytes of a page. */
export const PAGE = 4096n;

/** How a line says where a bitmap is to be written. */
export const bitmap: {
  readonly pgsize: Argument<bigint, false>;
  readonly bmsize: Argument<bigint, false>;
  readonly bmmem: Argument<bigint, false>;
} = {
  pgsize: optional(positiveBytes),
  bmsize: optional(bytes),
  bmmem: optional(bytes),
};

/**
 * Bytes of a bitmap with one bit per page: whole 64-bit words, at least one.
 *
 * @param size bytes that it speaks of
 * @param pgsize bytes of a page
 * @returns bytes
 */
export function bitmapBytes(size: bigint, pgsize: bigint): bigint {
  const pages = (size + pgsize - 1n) / pgsize;
  return pages === 0n ? 8n : ((pages + 63n) / 64n) * 8n;
}
