/** A file that the program has open: a container, a group, a device. */
import type { IoctlFile } from '@pinfold/uapi';
import type { MemoryWrite, Reply } from '../protocol.ts';
import type { MirroredMemory } from '../mirrored-memory.ts';

/** Errnos of the calls that are refused before the model sees them. */
export const ERRNO = {
  EIO: 5,
  ENODEV: 19,
  EINVAL: 22,
  ENOTTY: 25,
  EFAULT: 14,
  EBUSY: 16,
  ENOENT: 2,
  EPERM: 1,
  EOPNOTSUPP: 95,
} as const;

/** An ioctl of the program. */
export interface IoctlCall {
  /** The command. */
  readonly command: number;
  /** Its argument as a number. */
  readonly argument: bigint;
  /** The bytes that the argument points to, as far as they can be read, up to 256. */
  readonly bytes: Buffer;
  /** The file that a descriptor in the argument stands for. */
  readonly other: VfioFile | undefined;
  /** The memory of the process that calls. */
  readonly memory: MirroredMemory;
}

/** A read or write of a file's registers. */
export interface AccessCall {
  /** Offset in bytes. */
  readonly offset: bigint;
  /** Length in bytes. */
  readonly size: number;
  /** What is written; empty for a read. */
  readonly bytes: Buffer;
  /** Where a read's bytes belong in the program. */
  readonly address: bigint;
}

/** A file of the model. */
export interface VfioFile {
  /** What it is, in words. */
  readonly name: string;
  /** Whose ioctls it takes; any other is ENOTTY, in the kernel too. */
  readonly kinds: readonly IoctlFile[];
  /**
   * Answers an ioctl.
   *
   * @param call the call
   * @returns the reply; null when the file knows no such command
   */
  ioctl(call: IoctlCall): Reply | null;
  /** The last descriptor of it was closed. */
  closed(): void;
  /**
   * Where memory of the file can be mapped from.
   *
   * @param offset offset in bytes
   * @param size length in bytes
   * @returns file and offset, or a negative errno; not there: files of this kind cannot be mapped
   */
  mappable?(offset: bigint, size: bigint): { path: string; offset: number } | number;
  /**
   * A part of it was mapped.
   *
   * @param memory the memory of the process
   * @param va where
   * @param offset offset in the file in bytes
   * @param size length in bytes
   * @param prot PROT_*
   */
  mapped?(memory: MirroredMemory, va: bigint, offset: bigint, size: bigint, prot: number): void;
  /**
   * Reads or writes registers.
   *
   * @param call the call
   * @param writes whether it writes
   * @returns the reply
   */
  access?(call: AccessCall, writes: boolean): Reply;
}

/**
 * The reply to a call that failed or returned a number.
 *
 * @param ret the number, or a negative errno
 * @param writes what the call writes
 * @returns the reply
 */
export function returned(ret: number, writes: readonly MemoryWrite[] = []): Reply {
  return { ret, writes };
}
