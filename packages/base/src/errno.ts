/**
 * Errno names and numbers of the asm-generic headers, as far as the modelled path returns them.
 *
 * @source include/uapi/asm-generic/errno-base.h and errno.h
 */

/** Errno numbers by name. Inside the model a function returns `-Errno.ENOMEM`, as the kernel's do. */
export const Errno = {
  /** Operation not permitted. */
  EPERM: 1,
  /** No such file or directory; here: no such mapping. */
  ENOENT: 2,
  /** No such process: the owner of the memory is gone. */
  ESRCH: 3,
  /** Interrupted by a signal. */
  EINTR: 4,
  /** Argument list too long; here: more pages than one call may pin. */
  E2BIG: 7,
  /** Bad file descriptor: it is not open. */
  EBADF: 9,
  /** No child processes. */
  ECHILD: 10,
  /** Try again. */
  EAGAIN: 11,
  /** Out of memory, or over RLIMIT_MEMLOCK. */
  ENOMEM: 12,
  /** Permission denied. */
  EACCES: 13,
  /** Bad address: nothing mapped there, or not with the access that was asked for. */
  EFAULT: 14,
  /** Device or resource busy. */
  EBUSY: 16,
  /** Already exists; here: overlaps a mapping. */
  EEXIST: 17,
  /** No such device. */
  ENODEV: 19,
  /** Invalid argument. */
  EINVAL: 22,
  /** Inappropriate ioctl; VFIO gives it for an unknown command. */
  ENOTTY: 25,
  /** No space left; here: no dma entry left. */
  ENOSPC: 28,
  /** Result out of range. */
  ERANGE: 34,
  /** A lock that is never had; here: an access that does not let go of a mapping. */
  EDEADLOCK: 35,
  /** Message too long; here: an array that is too small. */
  EMSGSIZE: 90,
  /** Value too large for its type; here: a range that wraps. */
  EOVERFLOW: 75,
  /** Operation not supported. */
  EOPNOTSUPP: 95,
  /** Address already in use; the generic page table's "already mapped". */
  EADDRINUSE: 98,
} as const;

/** Name of an errno that the model can return. */
export type ErrnoName = keyof typeof Errno;

const NAMES = new Map<number, ErrnoName>(
  (Object.keys(Errno) as ErrnoName[]).map((name) => [Errno[name], name]),
);

/**
 * Name of an errno number.
 *
 * @param errno errno as a positive or negative number (12 and -12 both are ENOMEM)
 * @returns the symbolic name, or `errno N` for a number that the model does not know
 * @source include/uapi/asm-generic/errno-base.h
 */
export function errnoName(errno: number): string {
  return NAMES.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;
}
