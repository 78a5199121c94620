/**
 * Address spaces written down page by page: what `src` must agree with after every call. Slow, and
 * without page tables, frames or flag bits.
 *
 * A folio is an object with the contents of its pages; who maps it, pins it or keeps it in a page
 * cache is counted by name. A page is where its leaf says.
 */
import { Errno, X86_64, type PageGeometry } from '@pinfold/base';

/** How an access or a pin ends that finds no page. */
export type Failure = 'OOM' | 'SIGBUS' | 'SIGSEGV';

/** Contents and holders of a folio. */
export class PlainFolio {
  readonly order: number;
  readonly anon: boolean;
  readonly huge: boolean;
  /** What was last written to each page; 0 are zeros. */
  readonly contents: number[];
  readonly leaves = new Set<PlainLeaf>();
  cached = false;
  /** Pins, in pages. */
  pins = 0;

  constructor(order: number, anon: boolean, huge: boolean, contents?: readonly number[]) {
    this.order = order;
    this.anon = anon;
    this.huge = huge;
    this.contents = contents ? [...contents] : Array<number>(2 ** order).fill(0);
  }

  /** What the kernel would find in `_refcount`. */
  get refcount(): number {
    return this.leaves.size + (this.cached ? 1 : 0) + this.pins * (this.order === 0 ? 1024 : 1);
  }
}

/** A leaf of the page table; its pages point to it. */
export class PlainLeaf {
  /** null: a zero page, or device memory. */
  readonly folio: PlainFolio | null;
  readonly level: number;
  /** Whether an anonymous page is this process's alone. */
  exclusive: boolean;
  /** Whether an anonymous page can be written to without a fault. */
  writable: boolean;
  /** The address space that maps it, and its first page there. */
  where: { readonly space: PlainSpace; readonly vpn: number } | null = null;

  constructor(folio: PlainFolio | null, level: number, exclusive: boolean, writable = false) {
    this.folio = folio;
    this.level = level;
    this.exclusive = exclusive;
    this.writable = writable;
    folio?.leaves.add(this);
  }
}

/** A present page: which of its folio, or which frame of a device. */
export interface PlainPage {
  readonly leaf: PlainLeaf;
  readonly index: number;
}

/** What is copied: a page of a folio, or a zero page. */
interface PlainOriginal {
  readonly folio: PlainFolio | null;
  readonly index: number;
}

/** A file: its pages in the cache. */
export class PlainFile {
  readonly kind: 'shmem' | 'hugetlbfs' | 'disk';
  /** Writable mappings make a file of hugetlbfs longer. */
  npage: number;
  readonly order: number;
  readonly cache = new Map<number, { folio: PlainFolio; index: number }>();

  constructor(kind: 'shmem' | 'hugetlbfs' | 'disk', npage: number, order: number) {
    this.kind = kind;
    this.npage = npage;
    this.order = order;
  }
}

/** A device's memory, as it says of itself. */
export interface PlainBar {
  readonly pfn: number;
  readonly npage: number;
  enabled: boolean;
}

/** What is mapped at one page, and how. */
export interface PlainArea {
  readonly what: 'anon' | 'hugetlb' | PlainFile | PlainBar;
  /** Page of the file or device; of anonymous memory it does not matter. */
  readonly pgoff: number;
  readonly shared: boolean;
  readonly read: boolean;
  readonly write: boolean;
  readonly locked: boolean;
  readonly advice: 'none' | 'huge' | 'nohuge';
  /** Areas with different ones are not joined. */
  readonly apart: number;
}

/** What the machine has: settings, and memory that may run out. */
export class PlainMachine {
  /** Order and pages of a PMD leaf. */
  readonly pmdOrder: number;
  readonly block: number;
  /** Pages that a read of a file maps around: 64 KiB. */
  readonly around: number;
  /** Orders of folios for all, and for those who asked. */
  orders: { always: readonly number[]; advised: readonly number[] } = { always: [], advised: [] };
  useZeroPage = true;
  splitHugeZero = false;
  shmemHuge = false;
  /** Advice with which device memory may have large leaves. */
  largeBars: readonly PlainArea['advice'][] = ['none', 'huge'];
  /** Whether a page of a large folio that small leaves map can be kept at copy on write. */
  reusesLarge = true;
  /** Whether a block without a writable leaf cannot be collapsed. */
  collapseNeedsWritable = false;
  /** Whether a read maps the whole folio of a file around, not only its window. */
  mapsWholeFolio = false;
  /** Folios that may still be allocated. */
  left = Infinity;
  freeHugePages = 0;
  readonly folios = new Set<PlainFolio>();

  constructor({ pmdOrder, pageSize }: PageGeometry = X86_64) {
    this.pmdOrder = pmdOrder;
    this.block = 2 ** pmdOrder;
    this.around = Math.max(1, 2 ** 16 / pageSize);
  }

  alloc(order: number, anon: boolean, huge = false, from?: readonly number[]): PlainFolio | null {
    if (this.left === 0 || (huge && this.freeHugePages === 0)) return null;
    this.left--;
    if (huge) this.freeHugePages--;
    const folio = new PlainFolio(order, anon, huge, from);
    this.folios.add(folio);
    return folio;
  }

  /** A folio that nobody holds any more is gone. */
  put(folio: PlainFolio | null): void {
    if (folio === null || folio.refcount > 0 || !this.folios.delete(folio)) return;
    if (folio.huge) this.freeHugePages++;
  }

  /** Puts a folio of a file into its cache; null without memory. */
  cache(file: PlainFile, pgoff: number, orders: readonly number[]): PlainFolio | null {
    for (const order of orders) {
      const first = pgoff - (pgoff % 2 ** order);
      const pages = Array.from({ length: 2 ** order }, (_, i) => first + i);
      const taken = pages.some((page) => page >= file.npage || file.cache.has(page));
      const folio = taken ? null : this.alloc(order, false, file.order > 0);
      if (folio === null) continue;
      folio.cached = true;
      pages.forEach((page, index) => file.cache.set(page, { folio, index }));
      return folio;
    }
    return null;
  }

  /** Makes one folio of a PMD leaf of a file, with what its small folios hold; 0 or an errno. */
  collapse(file: PlainFile, first: number): number {
    const old = Array.from({ length: this.block }, (_, i) => file.cache.get(first + i));
    if (old.some((page) => page?.folio.order === this.pmdOrder)) return 0;
    const folios = old.flatMap((page) => (page ? [page.folio] : []));
    if (folios.some(({ pins }) => pins > 0)) return -Errno.EAGAIN;
    if (folios.length === 0) return -Errno.EINVAL;
    const contents = old.map((page) => page?.folio.contents[page.index] ?? 0);
    const large = this.alloc(this.pmdOrder, false, false, contents);
    if (large === null) return -Errno.ENOMEM;
    large.cached = true;
    old.forEach((_, index) => file.cache.set(first + index, { folio: large, index }));
    for (const folio of folios) {
      folio.cached = false;
      for (const { where } of [...folio.leaves]) where?.space.unmap(where.vpn);
      this.put(folio);
    }
    return 0;
  }

  evict(file: PlainFile): void {
    const folios = new Set([...file.cache.values()].map(({ folio }) => folio));
    file.cache.clear();
    for (const folio of folios) {
      folio.cached = false;
      this.put(folio);
    }
  }
}

/** The limit of mlock for a process. */
export interface PlainLimit {
  readonly pages: number;
}

/** An address space. */
export class PlainSpace {
  readonly machine: PlainMachine;
  readonly areas = new Map<number, PlainArea>();
  readonly pages = new Map<number, PlainPage>();
  /** Blocks of a PMD leaf that have a table of small entries. */
  readonly tables = new Set<number>();
  /** Pages of areas that have ever had anonymous pages. */
  readonly anonVmas = new Set<number>();
  lockedVm = 0;
  hasPinned = false;
  #apart = 1;

  constructor(machine: PlainMachine) {
    this.machine = machine;
  }

  // Calls of the process.

  mmap(vpn: number, npage: number, area: Omit<PlainArea, 'locked' | 'advice' | 'apart'>): number {
    if (this.#areasIn(vpn, vpn + npage).length > 0) return -Errno.EEXIST;
    const apart = isBar(area.what) ? this.#apart++ : 0;
    for (let i = 0; i < npage; i++) {
      const pgoff = area.pgoff + i;
      this.areas.set(vpn + i, { ...area, pgoff, locked: false, advice: 'none', apart });
    }
    const { what, pgoff, write } = area;
    if (isHugeFile(what) && write) what.npage = Math.max(what.npage, pgoff + npage);
    this.#spreadAnonVmas();
    return 0;
  }

  munmap(vpn: number, end: number): number {
    if (this.#cutsHugePage(vpn) || this.#cutsHugePage(end)) return -Errno.EINVAL;
    this.#zap(vpn, end);
    for (const at of this.#areasIn(vpn, end)) {
      if (this.areas.get(at)?.locked) this.lockedVm--;
      this.areas.delete(at);
      this.anonVmas.delete(at);
    }
    for (const block of [...this.tables]) {
      if (this.#areasIn(block, block + this.machine.block).length === 0) this.tables.delete(block);
    }
    return 0;
  }

  mprotect(vpn: number, end: number, prot: { read: boolean; write: boolean }): number {
    if (this.#cutsHugePage(vpn) || this.#cutsHugePage(end)) return -Errno.EINVAL;
    const mapped = this.#mappedUpTo(vpn, end);
    const changed: number[] = [];
    for (let at = vpn; at < mapped; at++) {
      const { read, write } = this.areas.get(at)!;
      if (read !== prot.read || write !== prot.write) changed.push(at);
    }
    this.#change(vpn, mapped, (area) =>
      area.read === prot.read && area.write === prot.write ? area : { ...area, ...prot },
    );
    // A page of its own may be written to at once; in hugetlb memory a fault sees to it.
    for (const at of changed) {
      const leaf = this.pages.get(at)?.leaf;
      if (leaf) leaf.writable = prot.write && leaf.exclusive && !isHuge(this.areas.get(at)!);
    }
    return mapped < end ? -Errno.ENOMEM : 0;
  }

  advise(vpn: number, end: number, advice: 'huge' | 'nohuge'): number {
    if (this.#cutsHugePage(vpn) || this.#cutsHugePage(end)) return -Errno.EINVAL;
    this.#change(vpn, end, (area) => (area.advice === advice ? area : { ...area, advice }));
    return this.#mappedUpTo(vpn, end) < end ? -Errno.ENOMEM : 0;
  }

  dontneed(vpn: number, end: number): number {
    for (let at = vpn; at < end;) {
      const area = this.areas.get(at);
      const stop = area ? this.#runEnd(at, end) : at + 1;
      if (area) {
        if (area.locked || isBar(area.what)) return -Errno.EINVAL;
        if (isHuge(area) && at % this.machine.block !== 0) return -Errno.EINVAL;
        this.#zap(at, isHuge(area) ? stop - (stop % this.machine.block) : stop);
      }
      at = stop;
    }
    return this.#mappedUpTo(vpn, end) < end ? -Errno.ENOMEM : 0;
  }

  mlock(vpn: number, end: number, limit: PlainLimit): number {
    const locked = this.#areasIn(vpn, end).filter((at) => this.areas.get(at)?.locked).length;
    if (this.lockedVm + (end - vpn) - locked > limit.pages) return -Errno.ENOMEM;
    const mapped = this.#mappedUpTo(vpn, end);
    this.#lock(vpn, mapped, true);
    if (mapped < end) return -Errno.ENOMEM;
    for (let at = vpn; at < end; at++) {
      const { what, shared, write } = this.areas.get(at)!;
      if (isBar(what)) continue;
      const failure = this.touch(at, write && !shared);
      if (failure !== null) return failure === 'OOM' ? -Errno.EAGAIN : -Errno.ENOMEM;
    }
    return 0;
  }

  munlock(vpn: number, end: number): number {
    const mapped = this.#mappedUpTo(vpn, end);
    this.#lock(vpn, mapped, false);
    return mapped < end ? -Errno.ENOMEM : 0;
  }

  collapse(vpn: number, end: number): number {
    for (let at = vpn; at < end;) {
      const area = this.areas.get(at);
      const stop = area ? this.#runEnd(at, end) : at + 1;
      const error = area ? this.#collapseRun(at, stop, area) : 0;
      if (error !== 0) return error;
      at = stop;
    }
    return this.#mappedUpTo(vpn, end) < end ? -Errno.ENOMEM : 0;
  }

  /** A child; null with the parent's pages shared as far as it came, if memory ran out. */
  fork(): PlainSpace | null {
    const child = new PlainSpace(this.machine);
    for (const [at, area] of this.areas) {
      // Where a lock ends, the child has two areas still.
      child.areas.set(at, {
        ...area,
        locked: false,
        apart: 2 * area.apart + (area.locked ? 1 : 0),
      });
    }
    for (const at of this.anonVmas) child.anonVmas.add(at);
    for (const [from, to] of this.#runs()) {
      const { what } = this.areas.get(from)!;
      if (!isBar(what) && !this.anonVmas.has(from)) continue;
      if (this.#forkRun(child, from, to)) continue;
      child.exit();
      return null;
    }
    return child;
  }

  exit(): void {
    this.#drop([...this.pages.keys()]);
    this.areas.clear();
    this.tables.clear();
    this.anonVmas.clear();
  }

  /** A device's memory goes from where it is mapped. */
  revoke(bar: PlainBar): void {
    this.#drop([...this.areas].filter(([, { what }]) => what === bar).map(([at]) => at));
  }

  /** An access; null if it succeeds. */
  touch(vpn: number, write: boolean): Failure | null {
    const area = this.areas.get(vpn);
    if (area === undefined || !(write ? area.write : area.read || area.write)) return 'SIGSEGV';
    return this.#fault(vpn, area, write ? 'write' : 'read');
  }

  /** Longterm pins: the pages, or an errno if there is none. */
  pin(vpn: number, npage: number, write: boolean): number | PlainPage[] {
    const got: PlainPage[] = [];
    this.hasPinned = true;
    for (let at = vpn; at < vpn + npage; at++) {
      const error = this.#makePinnable(at, write);
      if (error !== 0) return got.length > 0 ? got : error;
      const page = this.pages.get(at)!;
      page.leaf.folio!.pins++;
      got.push(page);
    }
    return got;
  }

  // Faults.

  #fault(vpn: number, area: PlainArea, access: 'read' | 'write' | 'unshare'): Failure | null {
    if (access === 'write' && !area.write) return 'SIGSEGV';
    if (area.what === 'anon') return this.#anonFault(vpn, area, access);
    if (area.what === 'hugetlb') {
      if (this.pages.has(vpn)) return this.#own(vpn, access);
      return this.#mapNew(
        vpn - (vpn % this.machine.block),
        this.machine.pmdOrder,
        true,
        access === 'write',
      );
    }
    return isBar(area.what)
      ? this.#barFault(vpn, area, area.what)
      : this.#fileFault(vpn, area, area.what, access);
  }

  #anonFault(vpn: number, area: PlainArea, access: string): Failure | null {
    const { machine } = this;
    const first = vpn - (vpn % this.machine.block);
    const orders = this.#ordersFor(area);
    const fits = orders.includes(this.machine.pmdOrder) && this.#oneArea(first, this.machine.block);
    if (!this.pages.has(vpn) && !this.tables.has(first) && fits) {
      this.#prepareAnon(vpn);
      if (access === 'read' && machine.useZeroPage) {
        this.#map(first, new PlainLeaf(null, 1, false), 0, this.machine.block);
        return null;
      }
      if (this.#mapNew(first, this.machine.pmdOrder, false, area.write) === null) return null;
    }
    const large = this.pages.get(vpn)?.leaf;
    if (large?.level === 1) {
      if (access === 'read') return null;
      if (large.folio === null && !machine.splitHugeZero) {
        const thp = machine.alloc(this.machine.pmdOrder, true);
        if (thp) {
          this.#drop([first]);
          this.#map(first, new PlainLeaf(thp, 1, true, access === 'write'), 0, this.machine.block);
          return null;
        }
      }
      if (large.folio !== null && (large.exclusive || large.folio.refcount === 1)) {
        keep(large, access);
        return null;
      }
      this.#split(first);
    }
    if (this.pages.has(vpn)) return this.#own(vpn, access);
    if (access === 'write') return this.#newAnonPages(vpn, orders);
    this.#map(vpn, new PlainLeaf(null, 0, false), 0, 1);
    return null;
  }

  #newAnonPages(vpn: number, orders: readonly number[]): Failure | null {
    this.#prepareAnon(vpn);
    for (const order of [...orders.filter((o) => o < this.machine.pmdOrder), 0]) {
      const first = vpn - (vpn % 2 ** order);
      const block = Array.from({ length: 2 ** order }, (_, i) => first + i);
      if (!this.#oneArea(first, 2 ** order) || block.some((at) => this.pages.has(at))) continue;
      const folio = this.machine.alloc(order, true);
      if (folio === null) continue;
      block.forEach((at, i) => {
        this.#map(at, new PlainLeaf(folio, 0, true, true), i, 1);
      });
      return null;
    }
    return 'OOM';
  }

  #fileFault(vpn: number, area: PlainArea, file: PlainFile, access: string): Failure | null {
    const huge = file.order > 0;
    const none = huge ? 'SIGBUS' : 'OOM';
    const page = this.pages.get(vpn);
    if (page) {
      if (area.shared || access === 'read') return null;
      if (page.leaf.level === 0 || huge) return this.#own(vpn, access);
      this.#drop([vpn]);
      return this.#copyTo(vpn, 0, { folio: page.leaf.folio, index: page.index }, false, access);
    }
    if (!huge && access === 'read') this.#mapAround(vpn, file);
    if (this.pages.has(vpn)) return null;
    if (area.pgoff >= file.npage) return 'SIGBUS';
    const first = huge ? vpn - (vpn % this.machine.block) : vpn;
    if (huge && !area.shared && !file.cache.has(area.pgoff)) {
      return this.#mapNew(first, this.machine.pmdOrder, true, access === 'write');
    }
    const orders = huge
      ? [this.machine.pmdOrder]
      : file.kind === 'shmem' && this.machine.shmemHuge
        ? [this.machine.pmdOrder, 0]
        : [0];
    if (!file.cache.has(area.pgoff) && !this.machine.cache(file, area.pgoff, orders)) return none;
    const { folio, index } = file.cache.get(area.pgoff)!;
    if (!area.shared && access === 'write') {
      return this.#copyTo(first, huge ? this.machine.pmdOrder : 0, { folio, index }, huge, access);
    }
    this.#mapCached(vpn, folio, index);
    return null;
  }

  #mapCached(vpn: number, folio: PlainFolio, index: number): void {
    const block = vpn - (vpn % this.machine.block);
    const area = this.areas.get(vpn)!;
    const large =
      folio.order === this.machine.pmdOrder &&
      index === vpn % this.machine.block &&
      this.#oneArea(block, this.machine.block);
    const allowed = isHuge(area) || area.advice !== 'nohuge';
    if (large && allowed && !this.tables.has(block)) {
      this.#map(block, new PlainLeaf(folio, 1, false), 0, this.machine.block);
    } else this.#map(vpn, new PlainLeaf(folio, 0, false), index, 1);
  }

  /**
   * A read maps what is in the cache of a window around, or of its folio where that is all there: never
   * over a border of area or block, nor what is behind the end of the file.
   */
  #mapAround(vpn: number, file: PlainFile): void {
    let first = vpn;
    while (first % this.machine.around !== 0 && this.#goesOn(first - 1)) first--;
    let end = first + this.machine.around;
    const own = file.cache.get(this.areas.get(vpn)!.pgoff);
    if (own && this.machine.mapsWholeFolio) {
      const start = vpn - own.index;
      const stop = start + 2 ** own.folio.order;
      const oneBlock =
        Math.floor(start / this.machine.block) === Math.floor((stop - 1) / this.machine.block);
      if (oneBlock && this.#oneArea(start, stop - start)) {
        first = Math.min(first, start);
        end = Math.max(end, stop);
      }
    }
    for (let at = first; at < end; at++) {
      if (at > first && (at % this.machine.block === 0 || !this.#goesOn(at - 1))) return;
      const { pgoff } = this.areas.get(at)!;
      const cached = pgoff < file.npage ? file.cache.get(pgoff) : undefined;
      if (cached && !this.pages.has(at)) this.#mapCached(at, cached.folio, cached.index);
    }
  }

  #barFault(vpn: number, area: PlainArea, bar: PlainBar): Failure | null {
    if (!bar.enabled) return 'SIGBUS';
    if (this.pages.has(vpn)) return null;
    const first = vpn - (vpn % this.machine.block);
    const offset = area.pgoff - (vpn - first);
    const aligned =
      (bar.pfn + offset) % this.machine.block === 0 && offset + this.machine.block <= bar.npage;
    const allowed = this.machine.largeBars.includes(area.advice);
    if (aligned && allowed && this.#oneArea(first, this.machine.block) && !this.tables.has(first)) {
      this.#map(first, new PlainLeaf(null, 1, false), bar.pfn + offset, this.machine.block);
      return null;
    }
    if (area.pgoff >= bar.npage) return 'SIGBUS';
    this.#map(vpn, new PlainLeaf(null, 0, false), bar.pfn + area.pgoff, 1);
    return null;
  }

  /** Makes a present page of a private mapping the process's own, unless it is only read. */
  #own(vpn: number, access: string): Failure | null {
    const page = this.pages.get(vpn)!;
    const { leaf } = page;
    if (access === 'read') return null;
    const { folio } = leaf;
    if (leaf.exclusive || (folio?.anon && this.#isReusable(folio, leaf))) {
      keep(leaf, access);
      return null;
    }
    const huge = leaf.level === 1;
    return this.#copyTo(
      huge ? vpn - (vpn % this.machine.block) : vpn,
      huge ? this.machine.pmdOrder : 0,
      { folio, index: page.index },
      huge,
      access,
    );
  }

  /** Whether a page of an anonymous folio becomes the process's own without a copy. */
  #isReusable(folio: PlainFolio, leaf: PlainLeaf): boolean {
    if (folio.huge) return folio.leaves.size === 1;
    if (leaf.level > 0 || folio.order === 0) return folio.refcount === 1;
    const alone = [...folio.leaves].every(({ where }) => where?.space === this);
    return this.machine.reusesLarge && alone && folio.leaves.size > 1 && folio.pins === 0;
  }

  /** Maps a copy of a page, or of its whole folio, in its place. */
  #copyTo(
    vpn: number,
    order: number,
    from: PlainOriginal,
    huge: boolean,
    access: string,
  ): Failure | null {
    this.#prepareAnon(vpn);
    const all = from.folio?.contents ?? [0];
    const contents = order === this.machine.pmdOrder ? all : [all[from.folio ? from.index : 0]];
    const copy = this.machine.alloc(order, true, huge, contents);
    if (copy === null) return huge ? 'SIGBUS' : 'OOM';
    this.#drop([vpn]);
    const leaf = new PlainLeaf(
      copy,
      order === this.machine.pmdOrder ? 1 : 0,
      true,
      access === 'write',
    );
    this.#map(vpn, leaf, 0, 2 ** order);
    return null;
  }

  #mapNew(first: number, order: number, huge: boolean, writable: boolean): Failure | null {
    this.#prepareAnon(first);
    const folio = this.machine.alloc(order, true, huge);
    if (folio === null) return huge ? 'SIGBUS' : 'OOM';
    this.#map(first, new PlainLeaf(folio, 1, true, writable), 0, this.machine.block);
    return null;
  }

  /** 0 once a page may be pinned; its faults are made. */
  #makePinnable(vpn: number, write: boolean): number {
    const area = this.areas.get(vpn);
    if (area === undefined || isBar(area.what)) return -Errno.EFAULT;
    const { what, shared } = area;
    const isDisk = typeof what === 'object' && what.kind === 'disk';
    if (write && shared && area.write && isDisk) return -Errno.EFAULT;
    if (!(write ? area.write : area.read)) return -Errno.EFAULT;
    for (;;) {
      const leaf = this.pages.get(vpn)?.leaf;
      const own = leaf?.exclusive && (!write || leaf.writable);
      if (leaf && (shared || own)) return 0;
      const access = write ? 'write' : leaf ? 'unshare' : 'read';
      const failure = this.#fault(vpn, area, access);
      if (failure !== null) return failure === 'OOM' ? -Errno.ENOMEM : -Errno.EFAULT;
    }
  }

  // Areas.

  #areasIn(from: number, to: number): number[] {
    const inside = [];
    for (let at = from; at < to; at++) if (this.areas.has(at)) inside.push(at);
    return inside;
  }

  #mappedUpTo(from: number, to: number): number {
    let at = from;
    while (at < to && this.areas.has(at)) at++;
    return at;
  }

  #cutsHugePage(at: number): boolean {
    const area = this.areas.get(at);
    return area !== undefined && isHuge(area) && at % this.machine.block !== 0;
  }

  /** Whether one area goes on from a page to the next. */
  #goesOn(at: number): boolean {
    const [a, b] = [this.areas.get(at), this.areas.get(at + 1)];
    if (!a || !b) return false;
    const same = (['what', 'shared', 'read', 'write', 'locked', 'advice', 'apart'] as const).every(
      (key) => a[key] === b[key],
    );
    return same && (a.what === 'anon' || b.pgoff === a.pgoff + 1);
  }

  #oneArea(first: number, npage: number): boolean {
    return this.areas.has(first) && this.#runEnd(first, first + npage) === first + npage;
  }

  /** The end of the area of a page, at most `end`. */
  #runEnd(at: number, end: number): number {
    let last = at;
    while (last + 1 < end && this.#goesOn(last)) last++;
    return last + 1;
  }

  /** All areas as ranges, in address order. */
  #runs(): [number, number][] {
    const starts = [...this.areas.keys()]
      .sort((a, b) => a - b)
      .filter((at) => !this.#goesOn(at - 1));
    return starts.map((at) => [at, this.#runEnd(at, Infinity)]);
  }

  /** Changes areas; at a border that this makes, large leaves are split. */
  #change(from: number, to: number, change: (area: PlainArea) => PlainArea): void {
    const apart = this.#apart++;
    for (const at of this.#areasIn(from, to)) {
      const old = this.areas.get(at)!;
      const area = change(old);
      if (area === old) continue;
      this.areas.set(at, isBar(area.what) ? { ...area, apart } : area);
    }
    for (const border of [from, to]) if (!this.#goesOn(border - 1)) this.#splitAt(border);
    this.#spreadAnonVmas();
  }

  /** The area of a page gets anonymous pages. */
  #prepareAnon(vpn: number): void {
    if (this.anonVmas.has(vpn)) return;
    let at = vpn;
    while (this.#goesOn(at - 1)) at--;
    for (const end = this.#runEnd(at, Infinity); at < end; at++) this.anonVmas.add(at);
  }

  /** An area that was joined to one with anonymous pages has had them, too. */
  #spreadAnonVmas(): void {
    for (const [from, to] of this.#runs()) {
      let has = false;
      for (let at = from; at < to && !has; at++) has = this.anonVmas.has(at);
      for (let at = from; at < to && has; at++) this.anonVmas.add(at);
    }
  }

  #lock(from: number, to: number, locked: boolean): void {
    this.#change(from, to, (area) => {
      if (isBar(area.what) || isHuge(area) || area.locked === locked) return area;
      this.lockedVm += locked ? 1 : -1;
      return { ...area, locked };
    });
  }

  #ordersFor(area: PlainArea): readonly number[] {
    const { always, advised } = this.machine.orders;
    return { none: always, huge: advised, nohuge: [] }[area.advice];
  }

  // Leaves.

  /** Maps the pages of a leaf; a small one hangs in a table. */
  #map(vpn: number, leaf: PlainLeaf, index: number, npage: number): void {
    leaf.where = { space: this, vpn };
    for (let i = 0; i < npage; i++) this.pages.set(vpn + i, { leaf, index: index + i });
    if (leaf.level === 0) this.tables.add(vpn - (vpn % this.machine.block));
  }

  /** Unmaps the leaves of pages, whole. */
  #drop(vpns: readonly number[]): void {
    for (const vpn of vpns) {
      const leaf = this.pages.get(vpn)?.leaf;
      if (!leaf) continue;
      const first = leaf.level === 1 ? vpn - (vpn % this.machine.block) : vpn;
      for (let i = 0; i < (leaf.level === 1 ? this.machine.block : 1); i++)
        this.pages.delete(first + i);
      leaf.folio?.leaves.delete(leaf);
      this.machine.put(leaf.folio);
    }
  }

  #splitAt(vpn: number): void {
    if (vpn % this.machine.block !== 0 && this.pages.get(vpn)?.leaf.level === 1) this.#split(vpn);
  }

  /** Small leaves for a large one of anonymous memory; any other goes. */
  #split(vpn: number): void {
    const first = vpn - (vpn % this.machine.block);
    const { leaf } = this.pages.get(first)!;
    const anon = this.areas.get(first)?.what === 'anon';
    const folio = leaf.folio;
    if (anon) {
      const { exclusive, writable } = leaf;
      const parts = Array.from(
        { length: this.machine.block },
        () => new PlainLeaf(folio, 0, exclusive, writable),
      );
      this.#drop([first]);
      parts.forEach((part, i) => {
        this.#map(first + i, part, folio ? i : 0, 1);
      });
    } else this.#drop([first]);
  }

  #zap(from: number, to: number): void {
    this.#splitAt(from);
    this.#splitAt(to);
    for (let at = from; at < to; at++) this.#drop([at]);
  }

  #collapseRun(from: number, to: number, area: PlainArea): number {
    let start = from;
    while (this.#goesOn(start - 1)) start--;
    const blockEnd =
      Math.ceil(start / this.machine.block) * this.machine.block + this.machine.block;
    const holdsBlock = this.#runEnd(start, blockEnd) === blockEnd;
    const { what } = area;
    const inFile = typeof what === 'object' && 'kind' in what && what.kind === 'shmem';
    const fits = what === 'anon' || (inFile && (area.pgoff - from) % this.machine.block === 0);
    if (!fits || area.advice === 'nohuge' || !holdsBlock) return -Errno.EINVAL;
    let error = 0;
    for (
      let at = Math.ceil(from / this.machine.block) * this.machine.block;
      at + this.machine.block <= to;
      at += this.machine.block
    ) {
      error = (inFile ? this.#collapseInFile(at, what) : this.#collapseBlock(at)) || error;
      if (error === -Errno.ENOMEM) break;
    }
    return error;
  }

  #collapseBlock(first: number): number {
    const block = Array.from({ length: this.machine.block }, (_, i) => first + i);
    const pages = block.map((at) => this.pages.get(at));
    if (pages[0]?.leaf.level === 1) return 0;
    const own = pages.filter((page) => page && page.leaf.folio !== null);
    if (own.some((page) => (page?.leaf.folio?.pins ?? 0) > 0)) return -Errno.EAGAIN;
    const readOnly = own.every((page) => !page?.leaf.writable);
    if (own.length === 0 || (readOnly && this.machine.collapseNeedsWritable)) return -Errno.EINVAL;
    const contents = pages.map((page) => page?.leaf.folio?.contents[page.index] ?? 0);
    const thp = this.machine.alloc(this.machine.pmdOrder, true, false, contents);
    if (thp === null) return -Errno.ENOMEM;
    this.#drop(block);
    this.tables.delete(first);
    const { write } = this.areas.get(first)!;
    this.#map(first, new PlainLeaf(thp, 1, true, write), 0, this.machine.block);
    return 0;
  }

  /** The block of the file becomes one folio for all; it is mapped where no page was copied. */
  #collapseInFile(first: number, file: PlainFile): number {
    const block = Array.from({ length: this.machine.block }, (_, i) => first + i);
    if (this.pages.get(first)?.leaf.level === 1) return 0;
    const error = this.machine.collapse(file, this.areas.get(first)!.pgoff);
    if (error !== 0) return error;
    if (block.some((at) => this.pages.get(at)?.leaf.folio?.anon)) return -Errno.EINVAL;
    this.#drop(block);
    this.tables.delete(first);
    this.#mapCached(first, file.cache.get(this.areas.get(first)!.pgoff)!.folio, 0);
    return 0;
  }

  /** Unmaps a leaf of this address space. */
  unmap(vpn: number): void {
    this.#drop([vpn]);
  }

  /** Gives the child the pages of an area; false without memory for a copy. */
  #forkRun(child: PlainSpace, from: number, to: number): boolean {
    const pinned = (page: PlainPage): boolean =>
      this.hasPinned && page.leaf.folio?.anon === true && page.leaf.folio.pins > 0;
    const area = this.areas.get(from)!;
    for (let at = from; at < to; at++) {
      const page = this.pages.get(at);
      if (page?.leaf.level === 1 && pinned(page) && !isHuge(area)) this.#split(at);
    }
    for (let at = from; at < to; at++) {
      const page = this.pages.get(at);
      if (!page) continue;
      const { leaf, index } = page;
      const { folio, level } = leaf;
      const npage = level === 1 ? this.machine.block : 1;
      if (folio && !folio.anon && level === 1 && !isHuge(area)) {
        at += npage - 1;
        continue;
      }
      if (leaf.exclusive && pinned(page)) {
        const access = area.write ? 'write' : 'read';
        const original = { folio, index };
        const failure = child.#copyTo(
          at,
          level * this.machine.pmdOrder,
          original,
          isHuge(area),
          access,
        );
        if (failure !== null) return false;
      } else {
        leaf.exclusive = false;
        leaf.writable = false;
        child.#map(at, new PlainLeaf(folio, level, false), index, npage);
      }
      at += npage - 1;
    }
    return true;
  }
}

/** A page that is met by a write or an unshare fault stays, as the process's own. */
function keep(leaf: PlainLeaf, access: string): void {
  leaf.exclusive = true;
  leaf.writable ||= access === 'write';
}

function isBar(what: PlainArea['what']): what is PlainBar {
  return typeof what === 'object' && 'enabled' in what;
}

function isHuge({ what }: PlainArea): boolean {
  return what === 'hugetlb' || isHugeFile(what);
}

function isHugeFile(what: PlainArea['what']): what is PlainFile {
  return typeof what === 'object' && 'order' in what && what.order > 0;
}
