/** Numbers of bytes for tracers, which take numbers of 53 bits. */
import { PAGE_SIZE } from '@pinfold/base';

const PAGE_BYTES = BigInt(PAGE_SIZE);

/**
 * A number of bytes as a tracer is given it.
 *
 * @param value the number
 * @returns pages, and the bytes that are left
 */
export function bytes(value: bigint): [pages: number, offset: number] {
  return [Number(value / PAGE_BYTES), Number(value % PAGE_BYTES)];
}
