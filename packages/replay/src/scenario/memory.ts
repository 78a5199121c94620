/** The memory of a scenario: what the log's mmaps make of it, and what is assumed where none does. */
import { hex } from '@pinfold/scenario';
import type { Backing, HostFacts, KnownMemory, LoggedCall } from '../log/entries.ts';
import type { Assumptions } from './build.ts';
import { Ranges, type Range } from './ranges.ts';

/** How much memory a scenario needs, by what it is made of. */
export interface MemoryPlan {
  /** Small pages and transparent huge pages, in bytes. */
  readonly bytes: number;
  /** Huge pages of 2 MiB from the pool. */
  readonly hugePages: number;
  /** Length of the BAR in pages; 0: none is mapped. */
  readonly barPages: number;
}

const MIB2 = 2n ** 21n;
const PAGE = 4096n;
const U64_END = 2n ** 64n;
/** Where a process has no memory any more. */
const TASK_END = 0x7fff_ffff_f000n;

type MapCall = LoggedCall & { op: 'map' };

/** Writes the steps that make memory. */
export class MemoryBuilder {
  /** What the scenario needs. */
  readonly plan: MemoryPlan;
  readonly #assumptions: Assumptions;
  readonly #known: readonly KnownMemory[];
  /** What the maps of the log cover: only that is made. */
  readonly #needed = new Ranges();
  /** What is there. */
  readonly #there = new Ranges();
  readonly #otherwise: Backing;
  readonly #isChosen: boolean;
  #names = 0;
  #assumed = 0n;

  /**
   * @param calls the calls
   * @param facts facts of the host, of which `memory` counts
   * @param assumptions what is assumed
   */
  constructor(calls: readonly LoggedCall[], facts: HostFacts, assumptions: Assumptions) {
    this.#assumptions = assumptions;
    this.#known = facts.memory ?? [];
    const maps = calls.filter((call): call is MapCall => call.op === 'map');
    for (const { va, size, flags } of maps) {
      const end = pageUp(va + size);
      if ((flags & 4) === 0 && end <= TASK_END) this.#needed.add(va - (va % PAGE), end, MIB2);
    }
    this.#isChosen = assumptions.backing !== undefined;
    this.#otherwise = assumptions.backing ?? 'thp';
    this.plan = this.#planOf(calls, assumptions);
  }

  /** What is assumed of memory, in words. */
  get said(): string[] {
    if (this.#assumed === 0n || this.#isChosen) return [];
    return [
      `memory that no mmap of the log has made is private and anonymous, in huge pages where it can be (--backing says another kind)`,
    ];
  }

  /**
   * The steps that a call on memory becomes.
   *
   * @param call the call
   * @returns scenario lines; none if the memory is mapped by no map
   */
  linesOf(call: LoggedCall): string[] {
    switch (call.op) {
      case 'mmap': {
        const from = call.va;
        const to = pageUp(from + call.size);
        if (this.#needed.within(from, to).length === 0) return [];
        return [this.#mmap({ from, to }, call)];
      }
      case 'munmap': {
        const parts = this.#there.within(call.va, pageUp(call.va + call.size));
        return parts.map((part) => {
          this.#there.remove(part.from, part.to);
          return `munmap ${rangeText(part)}`;
        });
      }
      case 'madvise':
        return this.#parts(call).map((part) => `madvise ${rangeText(part)} advice=${call.advice}`);
      case 'mprotect':
        return this.#parts(call).map((part) => `mprotect ${rangeText(part)} prot=${call.prot}`);
      case 'mlock':
      case 'munlock':
        return this.#parts(call).map((part) => `${call.op} ${rangeText(part)}`);
      case 'mremap':
        return this.#mremap(call);
      default:
        return [];
    }
  }

  /**
   * The steps that make the memory of a map, where it is not there.
   *
   * @param call the map
   * @param index its number
   * @returns scenario lines
   */
  linesFor(call: MapCall, index: number): string[] {
    const { va, size, flags } = call;
    const end = pageUp(va + size);
    if ((flags & 4) !== 0 || end > TASK_END || end >= U64_END || size === 0n) return [];
    const bad = this.#assumptions.badMemory?.get(index);
    const lines: string[] = [];
    for (const gap of this.#there.gaps(va - (va % PAGE), end)) {
      const whole = bad ? gap : (this.#needed.at(gap.from) ?? gap);
      for (const { from, to } of this.#there.gaps(whole.from, whole.to)) {
        if (bad === 'absent') {
          this.#there.add(from, to);
          lines.push(
            `mmap name=${this.#name()} kind=memfd fsize=4K flags=shared size=${hex(to - from)} addr=${hex(from)}`,
          );
          continue;
        }
        lines.push(...this.#assume({ from, to }, bad));
      }
    }
    return lines;
  }

  #parts({ va, size }: { readonly va: bigint; readonly size: bigint }): Range[] {
    return this.#there.within(va, pageUp(va + size));
  }

  #name(): string {
    return `M${++this.#names}`;
  }

  /** Memory that smaps describes, or that is of the kind that is assumed. */
  #assume(range: Range, bad: 'readonly' | 'bar' | undefined): string[] {
    const lines: string[] = [];
    const left = new Ranges();
    left.add(range.from, range.to);
    // It is there: when the program touched it, the log does not say.
    const options = { prot: bad === 'readonly' ? 'r' : 'rw', shared: false, populate: true };
    for (const area of this.#known) {
      for (const part of left.within(area.va, area.va + area.size)) {
        lines.push(this.#mmap(part, { kind: bad === 'bar' ? bad : area.kind, ...options }));
        left.remove(part.from, part.to);
      }
    }
    for (const part of left.list) {
      this.#assumed += part.to - part.from;
      lines.push(this.#mmap(part, { kind: bad === 'bar' ? bad : this.#otherwise, ...options }));
    }
    return lines;
  }

  #mmap(
    { from, to }: Range,
    how: {
      readonly kind: Backing;
      readonly prot: string;
      readonly shared: boolean;
      readonly populate?: boolean;
      readonly noreserve?: boolean;
    },
  ): string {
    const replaces = this.#there.within(from, to).length > 0;
    this.#there.add(from, to);
    const isHuge = ['huge2m', 'huge1g', 'memfd2m', 'memfd1g'].includes(how.kind);
    const fits = from % MIB2 === 0n && to % MIB2 === 0n;
    const kind = isHuge && !fits ? 'thp' : how.kind;
    const words = kindWords(kind, this.#name());
    const isNone = how.prot === 'none';
    const flags = [
      ...(how.shared && kind !== 'bar' ? ['shared'] : []),
      ...(how.populate && !isNone && kind !== 'bar' ? ['populate'] : []),
      ...(how.noreserve ? ['noreserve'] : []),
      ...(replaces ? ['fixed'] : []),
    ];
    return [
      `mmap ${words} size=${hex(to - from)} addr=${hex(from)}`,
      ...(how.prot === 'rw' ? [] : [`prot=${how.prot}`]),
      ...(flags.length > 0 ? [`flags=${flags.join(',')}`] : []),
      ...(kind === 'thp' ? ['advise=huge'] : []),
    ].join(' ');
  }

  #mremap(call: LoggedCall & { op: 'mremap' }): string[] {
    const { va, size, newsize, to } = call;
    const wanted = this.#needed.within(to, pageUp(to + newsize)).length > 0;
    const there = this.#there.gaps(va, pageUp(va + size)).length === 0;
    if (!there) return [];
    if (!wanted) {
      this.#there.remove(va, pageUp(va + size));
      return [`munmap ${rangeText({ from: va, to: pageUp(va + size) })}`];
    }
    this.#there.remove(va, pageUp(va + size));
    this.#there.add(to, pageUp(to + newsize));
    const place = to === va ? '' : ` to=${hex(to)} maymove=1`;
    return [`mremap va=${hex(va)} size=${hex(size)} newsize=${hex(newsize)}${place}`];
  }

  #planOf(calls: readonly LoggedCall[], { badMemory }: Assumptions): MemoryPlan {
    const small = new Ranges();
    const huge = new Ranges();
    let bar = 0n;
    const all = (kind: Backing, from: bigint, to: bigint): void => {
      for (const part of this.#needed.within(from, to)) {
        if (kind === 'bar') bar = part.to - part.from > bar ? part.to - part.from : bar;
        else (isPool(kind) ? huge : small).add(part.from, part.to);
      }
    };
    for (const call of calls) {
      if (call.op === 'mmap') all(call.kind, call.va, pageUp(call.va + call.size));
    }
    for (const { va, size, kind } of this.#known) all(kind, va, va + size);
    for (const { from, to } of this.#needed.list) {
      const known = new Ranges();
      for (const part of [...small.within(from, to), ...huge.within(from, to)]) {
        known.add(part.from, part.to);
      }
      for (const gap of known.gaps(from, to)) {
        (isPool(this.#otherwise) ? huge : small).add(gap.from, gap.to);
      }
    }
    for (const [index, bad] of badMemory ?? []) {
      const call = calls[index];
      if (bad === 'bar' && call.op === 'map' && call.size > bar) bar = call.size;
    }
    const pool = huge.list.reduce((sum, { from, to }) => sum + (to - from + MIB2 - 1n) / MIB2, 0n);
    return {
      bytes: Number(small.bytes),
      hugePages: Number(pool),
      barPages: Number(pageUp(bar) / PAGE),
    };
  }
}

function isPool(kind: Backing): boolean {
  return kind === 'huge2m' || kind === 'huge1g' || kind === 'memfd2m' || kind === 'memfd1g';
}

function kindWords(kind: Backing, name: string): string {
  switch (kind) {
    case 'thp':
      return `name=${name} kind=anon`;
    case 'file':
      return `name=${name} kind=file path=/file${name}`;
    case 'bar':
      return `name=${name} kind=bar dev=ivsh16 bar=2`;
    // A pool of pages of 1 GiB is not part of the machine: pages of 2 MiB stand in.
    case 'huge1g':
      return `name=${name} kind=huge2m`;
    case 'memfd1g':
      return `name=${name} kind=memfd2m`;
    default:
      return `name=${name} kind=${kind}`;
  }
}

function rangeText({ from, to }: Range): string {
  return `va=${hex(from)} size=${hex(to - from)}`;
}

function pageUp(bytes: bigint): bigint {
  return ((bytes + PAGE - 1n) / PAGE) * PAGE;
}
