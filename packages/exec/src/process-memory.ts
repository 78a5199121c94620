/**
 * The memory of a running process, as /proc shows it to its owner: areas, how they are backed, and
 * which of their pages are there.
 *
 * @source Documentation/filesystems/proc.rst, Documentation/admin-guide/mm/pagemap.rst
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** An area of memory (a line of /proc/PID/maps) with what smaps says of it. */
export interface Area {
  /** First address. */
  readonly start: bigint;
  /** Address after the last. */
  readonly end: bigint;
  /** Access: any of `r`, `w`, `x`. */
  readonly prot: string;
  /** Whether writes go to the file. */
  readonly shared: boolean;
  /** Offset in the file in bytes. */
  readonly offset: bigint;
  /** Inode of the file; 0 of anonymous memory. */
  readonly inode: bigint;
  /** Its path as maps has it; empty of anonymous memory. */
  readonly path: string;
  /** Bytes of one of its pages: more than the base page in hugetlb memory (KernelPageSize). */
  readonly pageBytes: number;
  /** Bytes that are there (Rss). */
  readonly rss: number;
  /** Bytes of them in anonymous huge pages (AnonHugePages). */
  readonly anonHuge: number;
  /** Two-letter flags (VmFlags), such as `hg` and `nh`. */
  readonly vmFlags: readonly string[];
}

/** Pages of a range that are there. */
export interface PresentRun {
  /** First address. */
  readonly start: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

const LINE = /^([\da-f]+)-([\da-f]+) (...)(.) ([\da-f]+) \S+ (\d+) *(.*)$/u;
const KIB = 1024;
const PAGE = 4096n;
/** Bytes of an entry of pagemap, and entries that are read at once. */
const [ENTRY, ENTRIES_AT_ONCE] = [8, 1 << 16];
/** Bit 31 of the upper half of an entry: the page is present; bit 30: it is in swap. */
const PRESENT_OR_SWAPPED = 0xc0000000;

/**
 * The areas that a range of addresses meets.
 *
 * @param pid the process
 * @param start first address of the range
 * @param end address after the last
 * @returns the areas, in the order of addresses
 * @throws {Error} when /proc does not show them
 */
export function areasIn(pid: number, start: bigint, end: bigint): Area[] {
  const areas: Area[] = [];
  let head: RegExpExecArray | null = null;
  let fields: Record<string, string> = {};
  const finish = (): void => {
    if (head) areas.push(areaOf(head, fields));
  };
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'latin1').split('\n')) {
    const match = LINE.exec(line);
    if (match) {
      finish();
      fields = {};
      const meets = BigInt(`0x${match[1]}`) < end && start < BigInt(`0x${match[2]}`);
      head = meets ? match : null;
    } else if (head) {
      const colon = line.indexOf(':');
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trim();
    }
  }
  finish();
  return areas;
}

function areaOf(head: RegExpExecArray, fields: Readonly<Record<string, string>>): Area {
  const [, start = '', end = '', prot = '', kind = '', offset = '', inode = '', path = ''] = head;
  const bytes = (name: string): number => Number.parseInt(fields[name] ?? '0', 10) * KIB;
  return {
    ...{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), prot: prot.replaceAll('-', '') },
    ...{ shared: kind === 's', offset: BigInt(`0x${offset}`), inode: BigInt(inode), path },
    ...{ pageBytes: bytes('KernelPageSize'), rss: bytes('Rss'), anonHuge: bytes('AnonHugePages') },
    vmFlags: (fields.VmFlags ?? '').split(' ').filter(Boolean),
  };
}

/**
 * The runs of pages of a range that are there, in memory or in swap.
 *
 * @param pid the process
 * @param start first address, a multiple of the page size
 * @param end address after the last
 * @returns the runs, in the order of addresses; all of the range when pagemap cannot be read
 */
export function presentRuns(pid: number, start: bigint, end: bigint): PresentRun[] {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/pagemap`, 'r');
  } catch {
    return [{ start, size: end - start }];
  }
  try {
    return runsOf(fd, start, end);
  } finally {
    closeSync(fd);
  }
}

function runsOf(fd: number, start: bigint, end: bigint): PresentRun[] {
  const runs: PresentRun[] = [];
  const buffer = Buffer.alloc(ENTRY * ENTRIES_AT_ONCE);
  let from = -1n;
  let vpn = start / PAGE;
  const last = end / PAGE;
  const close = (at: bigint): void => {
    if (from >= 0n) runs.push({ start: from * PAGE, size: (at - from) * PAGE });
    from = -1n;
  };
  while (vpn < last) {
    const wanted = Number(last - vpn < ENTRIES_AT_ONCE ? last - vpn : BigInt(ENTRIES_AT_ONCE));
    const read = readSync(fd, buffer, 0, wanted * ENTRY, vpn * BigInt(ENTRY)) / ENTRY;
    if (read <= 0) break;
    for (let i = 0; i < read; i++) {
      const there = (buffer.readUInt32LE(i * ENTRY + 4) & PRESENT_OR_SWAPPED) !== 0;
      if (there && from < 0n) from = vpn + BigInt(i);
      if (!there && from >= 0n) close(vpn + BigInt(i));
    }
    vpn += BigInt(read);
  }
  close(vpn);
  return runs;
}
