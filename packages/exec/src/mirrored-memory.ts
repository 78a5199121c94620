/**
 * The program's memory in the model: what a call needs of it is looked up in /proc when the call comes,
 * and mapped in the model at the same addresses. The program's own memory is only looked at.
 */
import type { Operation } from '@pinfold/guest';
import { areasIn, presentRuns, type Area } from './process-memory.ts';
import type { ExecModel } from './model.ts';

type MmapOperation = Extract<Operation, { op: 'mmap' }>;

/** Addresses that the model has mapped. */
interface Mirrored {
  readonly start: bigint;
  readonly end: bigint;
}

const PAGE = 4096n;
const PMD = 2n * 1024n * 1024n;
/** Kinds of hugetlb memory by the bytes of a page: of a memfd, and of anonymous memory. */
const HUGETLB: Readonly<
  Record<number, { memfd: MmapOperation['kind']; anon: MmapOperation['kind'] }>
> = {
  [2 ** 21]: { memfd: 'memfd2m', anon: 'huge2m' },
  [2 ** 30]: { memfd: 'memfd1g', anon: 'huge1g' },
};
/** MADV_* by number, as operations call them. What is not here changes nothing that the model knows. */
const ADVICE: ReadonlyMap<number, string> = new Map([
  [4, 'dontneed'],
  [8, 'free'],
  [9, 'remove'],
  [10, 'dontfork'],
  [11, 'dofork'],
  [14, 'huge'],
  [15, 'nohuge'],
  [22, 'popread'],
  [23, 'popwrite'],
  [25, 'collapse'],
]);

/** Advice after which pages are gone, so that /proc has to be asked again. */
const DROPS = new Set(['dontneed', 'free', 'remove']);

/** What memory is: private and anonymous, hugetlb, or shared and of files. */
export type MemoryKind = 'anon' | 'hugetlb' | 'shmem';

/** How a program's memory is looked at. */
export interface MemoryView {
  /** All of what is mapped for DMA counts as populated, whether or not it is there. */
  readonly lazy: boolean;
  /** A folder whose files count as hugetlb pages; null: none. */
  readonly hugetlbfs: { readonly folder: string; readonly pageBytes: number } | null;
}

/** The memory of one process, as far as the model knows it. */
export class MirroredMemory {
  readonly #model: ExecModel;
  readonly #pid: number;
  readonly #prefix: string;
  #areas: Mirrored[] = [];
  /** Addresses whose pages are known to be there: a map has pinned them. */
  #populated: Mirrored[] = [];
  /** Regions of memfds by inode, which later mappings of the same file name. */
  readonly #files = new Map<bigint, string>();
  /** Shared memory that was populated by reading it. */
  #read: Mirrored[] = [];
  /** Memory that is mapped for the first time, by what it is. */
  #kinds: (Mirrored & { readonly kind: MemoryKind })[] = [];
  readonly #view: MemoryView;
  #count = 0;

  /**
   * @param model the model
   * @param pid the process
   * @param prefix what the names of its regions begin with
   * @param view how its memory is looked at
   */
  constructor(model: ExecModel, pid: number, prefix: string, view: MemoryView) {
    this.#view = view;
    this.#model = model;
    this.#pid = pid;
    this.#prefix = prefix;
  }

  /** Whether any memory is known, so that changes of it matter. */
  get any(): boolean {
    return this.#areas.length > 0;
  }

  /**
   * Maps in the model what the process has in a range, with the pages that are there.
   *
   * @param va first address
   * @param size length in bytes
   */
  need(va: bigint, size: bigint): void {
    const start = (va / PAGE) * PAGE;
    const end = ((va + size + PAGE - 1n) / PAGE) * PAGE;
    if (end <= start || end > 1n << 47n || covers(this.#populated, start, end)) return;
    for (const area of areasIn(this.#pid, start, end)) this.#needArea(area, start, end);
  }

  /**
   * What memory is at an address.
   *
   * @param va the address
   * @returns what it is; anonymous where nothing is known
   */
  kindAt(va: bigint): MemoryKind {
    return this.#kinds.findLast(({ start, end }) => start <= va && va < end)?.kind ?? 'anon';
  }

  /**
   * Shared memory was populated when it was mapped: its pages were read.
   *
   * @param va first address
   * @param size length in bytes
   */
  populated(va: bigint, size: bigint): void {
    this.#read = withRange(this.#read, va, roundedUp(va + size));
  }

  /**
   * A map has succeeded: the pages are there.
   *
   * @param va first address
   * @param size length in bytes
   */
  pinned(va: bigint, size: bigint): void {
    this.#populated = withRange(this.#populated, va, va + size);
  }

  /**
   * Memory of a device is mapped.
   *
   * @param va first address
   * @param operation which memory
   */
  mapDevice(va: bigint, operation: Omit<MmapOperation, 'op' | 'name' | 'addr' | 'flags'>): void {
    this.forget(va, operation.size);
    const name = this.#nextName();
    const done = this.#model.perform({ op: 'mmap', name, addr: va, flags: FIXED, ...operation });
    if (done.code < 0) return;
    this.#areas = withRange(this.#areas, va, va + operation.size);
    this.#populated = withRange(this.#populated, va, va + operation.size);
  }

  /**
   * Memory was unmapped, or replaced by other memory.
   *
   * @param va first address
   * @param size length in bytes
   */
  forget(va: bigint, size: bigint): void {
    const [start, end] = [va, roundedUp(va + size)];
    for (const part of common(this.#areas, start, end)) {
      this.#model.perform({ op: 'munmap', va: part.start, size: part.end - part.start });
    }
    this.#areas = withoutRange(this.#areas, start, end);
    this.#populated = withoutRange(this.#populated, start, end);
    this.#read = withoutRange(this.#read, start, end);
    this.#kinds = this.#kinds.filter((area) => area.end <= start || end <= area.start);
  }

  /**
   * madvise.
   *
   * @param va first address
   * @param size length in bytes
   * @param advice MADV_*
   */
  advise(va: bigint, size: bigint, advice: number): void {
    const name = ADVICE.get(advice);
    if (name === undefined) return;
    const end = roundedUp(va + size);
    for (const part of common(this.#areas, va, end)) {
      this.#model.perform({
        op: 'madvise',
        va: part.start,
        size: part.end - part.start,
        advice: name,
      });
    }
    if (DROPS.has(name)) this.#populated = withoutRange(this.#populated, va, end);
  }

  /**
   * mprotect.
   *
   * @param va first address
   * @param size length in bytes
   * @param bits PROT_*
   */
  protect(va: bigint, size: bigint, bits: number): void {
    const prot = `${bits & 1 ? 'r' : ''}${bits & 2 ? 'w' : ''}${bits & 4 ? 'x' : ''}`;
    for (const part of common(this.#areas, va, roundedUp(va + size))) {
      this.#model.perform({ op: 'mprotect', va: part.start, size: part.end - part.start, prot });
    }
  }

  /**
   * mlock or munlock.
   *
   * @param op which of them
   * @param va first address
   * @param size length in bytes
   */
  lock(op: 'mlock' | 'munlock', va: bigint, size: bigint): void {
    for (const part of common(this.#areas, (va / PAGE) * PAGE, roundedUp(va + size))) {
      this.#model.perform({ op, va: part.start, size: part.end - part.start });
    }
  }

  /**
   * mremap. Memory that grows or moves keeps its pages.
   *
   * @param va first address
   * @param size length in bytes
   * @param newsize length after it
   * @param to where it lies now
   */
  move(va: bigint, size: bigint, newsize: bigint, to: bigint): void {
    const [known] = common(this.#areas, va, roundedUp(va + size));
    if (known?.start !== va || known.end !== roundedUp(va + size)) {
      this.forget(va, size);
      return;
    }
    const moved = to !== va;
    if (moved) this.forget(to, newsize);
    const place = moved ? { to } : {};
    this.#model.perform({ op: 'mremap', va, size, newsize, maymove: moved, ...place });
    this.#areas = withRange(
      withoutRange(this.#areas, va, roundedUp(va + size)),
      to,
      to + roundedUp(newsize),
    );
    this.#populated = withoutRange(this.#populated, va, roundedUp(va + size));
  }

  #needArea(area: Area, from: bigint, to: bigint): void {
    const start = area.start > from ? area.start : from;
    const end = area.end < to ? area.end : to;
    for (const hole of holes(this.#areas, start, end)) this.#mapHole(area, hole);
    // Its pages that are there already; the others are the pin's to fault.
    for (const hole of holes(this.#populated, start, end)) {
      const there = this.#view.lazy
        ? [{ start: hole.start, size: hole.end - hole.start }]
        : presentRuns(this.#pid, hole.start, hole.end);
      for (const run of there) {
        const wasRead = common(this.#read, run.start, run.start + run.size).length > 0;
        const mode = area.prot.includes('w') && !wasRead ? 'w' : 'r';
        const stride = BigInt(this.#pageBytes(area));
        this.#model.perform({ op: 'touch', va: run.start, size: run.size, mode, stride });
      }
    }
  }

  /** Maps the whole area around a hole, so that huge pages lie in it as they do in the process. */
  #mapHole(area: Area, hole: Mirrored): void {
    for (const part of holes(this.#areas, area.start, area.end)) {
      if (part.end <= hole.start || hole.end <= part.start) continue;
      const name = this.#nextName();
      const { start } = part;
      const size = part.end - start;
      const file = this.#fileOf(area, start, name);
      const isShared = area.shared || common(this.#read, start, part.end).length > 0;
      this.#kinds.push({ start, end: part.end, kind: kindOf(file.kind, isShared) });
      const advise = adviceOf(area);
      const done = this.#model.perform({
        ...{ op: 'mmap', name, addr: start, size, prot: area.prot },
        ...{ ...file, flags: isShared ? ['shared', ...FIXED] : FIXED },
        ...(advise && { advise }),
      });
      if (done.code < 0) continue;
      this.#areas = withRange(this.#areas, start, part.end);
    }
  }

  /** Bytes of a page of an area: in a folder that is to look like a hugetlbfs, of that. */
  #pageBytes({ path, pageBytes }: Area): number {
    const { hugetlbfs } = this.#view;
    return hugetlbfs && path.startsWith(`${hugetlbfs.folder}/`) ? hugetlbfs.pageBytes : pageBytes;
  }

  /** What the mapping of an area is backed by. */
  #fileOf(
    area: Area,
    from: bigint,
    name: string,
  ): Pick<MmapOperation, 'kind' | 'of' | 'off' | 'path' | 'fsize'> {
    const { inode, path, offset, start, shared } = area;
    const huge = HUGETLB[this.#pageBytes(area)];
    const anonymous = inode === 0n || path.startsWith('/dev/zero') || path.startsWith('/SYSV');
    if (anonymous || path.startsWith('/anon_hugepage')) return { kind: huge?.anon ?? 'anon' };
    const off = offset + (from - start);
    const inMemory =
      path.startsWith('/memfd:') || path.startsWith('/dev/shm/') || huge !== undefined;
    if (!inMemory) return { kind: 'file', path: `/inode/${inode}`, off };
    if (!shared && huge === undefined) return { kind: 'memfd', off };
    const of = this.#files.get(inode);
    if (of === undefined) this.#files.set(inode, name);
    return { kind: huge?.memfd ?? 'memfd', ...(of !== undefined && { of }), off };
  }

  #nextName(): string {
    this.#count += 1;
    return `${this.#prefix}${this.#count}`;
  }
}

function kindOf(kind: MmapOperation['kind'], isShared: boolean): MemoryKind {
  if (kind.startsWith('huge') || /^memfd\d/u.test(kind)) return 'hugetlb';
  return kind === 'anon' && !isShared ? 'anon' : 'shmem';
}

const FIXED: MmapOperation['flags'] = ['fixed', 'noreserve'];

/** Whether huge pages were asked for, or are there, or are not there although there is room. */
function adviceOf({ vmFlags, anonHuge, rss, start, end }: Area): 'huge' | 'nohuge' | undefined {
  if (vmFlags.includes('nh')) return 'nohuge';
  if (vmFlags.includes('hg')) return 'huge';
  if (anonHuge > 0) return 'huge';
  const hasBlock = roundedUp(start, PMD) + PMD <= end;
  return hasBlock && rss >= Number(PMD) ? 'nohuge' : undefined;
}

function roundedUp(address: bigint, unit: bigint = PAGE): bigint {
  return ((address + unit - 1n) / unit) * unit;
}

/** The parts of sorted, disjoint ranges that lie in a range. */
function common(ranges: readonly Mirrored[], start: bigint, end: bigint): Mirrored[] {
  return ranges
    .filter((range) => range.start < end && start < range.end)
    .map((range) => ({
      start: range.start > start ? range.start : start,
      end: range.end < end ? range.end : end,
    }));
}

/** What no range of sorted, disjoint ranges covers. */
function holes(ranges: readonly Mirrored[], start: bigint, end: bigint): Mirrored[] {
  const found: Mirrored[] = [];
  let at = start;
  for (const range of common(ranges, start, end)) {
    if (range.start > at) found.push({ start: at, end: range.start });
    at = range.end;
  }
  if (at < end) found.push({ start: at, end });
  return found;
}

function covers(ranges: readonly Mirrored[], start: bigint, end: bigint): boolean {
  return holes(ranges, start, end).length === 0;
}

/** Sorted, disjoint ranges with one more, joined to those that it meets. */
function withRange(ranges: readonly Mirrored[], start: bigint, end: bigint): Mirrored[] {
  const apart = ranges.filter((range) => range.end < start || end < range.start);
  const met = ranges.filter((range) => range.end >= start && end >= range.start);
  const joined = met.reduce(
    (sum, range) => ({
      start: range.start < sum.start ? range.start : sum.start,
      end: range.end > sum.end ? range.end : sum.end,
    }),
    { start, end },
  );
  return [...apart, joined].sort((a, b) => (a.start < b.start ? -1 : 1));
}

function withoutRange(ranges: readonly Mirrored[], start: bigint, end: bigint): Mirrored[] {
  return ranges.flatMap((range) => {
    if (range.end <= start || end <= range.start) return [range];
    return [
      ...(range.start < start ? [{ start: range.start, end: start }] : []),
      ...(end < range.end ? [{ start: end, end: range.end }] : []),
    ];
  });
}
