/**
 * Flags of GUP.
 *
 * @source include/linux/mm_types.h FOLL_*, 6.16
 */

/** GUP flags, with the kernel's values. */
export const FOLL = {
  /** The pages will be written to. */
  WRITE: 0x1,
  /** The pin is held for long: pages must not lie in movable memory. */
  LONGTERM: 0x100,
} as const;
