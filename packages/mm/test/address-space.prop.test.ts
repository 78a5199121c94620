/**
 * Random calls of a process, faults, forks and pins, on a small machine whose memory may run out,
 * against a model written down page by page.
 *
 * PINFOLD_RUNS=5000 does 5000 sequences instead of the default, PINFOLD_SEED=1 others.
 */
import { KernelHang, offsetIn, X86_64, type PageGeometry } from '@pinfold/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { anonymousMemory } from '../src/anon.ts';
import { adviseCollapse } from '../src/collapse.ts';
import { touchPage, VM_FAULT, type VmOperations } from '../src/fault.ts';
import { dupMmap } from '../src/fork.ts';
import { HugetlbMemory } from '../src/hugetlb.ts';
import { MmStruct, Task } from '../src/mm-struct.ts';
import { MappedFile } from '../src/page-cache.ts';
import type { Prot } from '../src/mmap.ts';
import { PTE } from '../src/page-table.ts';
import { PciBar } from '../src/pci-bar.ts';
import {
  adviseDontneed,
  adviseHugepage,
  doMmap,
  mlock,
  mprotect,
  munmap,
} from '../src/syscalls.ts';
import type { ThpSettings } from '../src/thp.ts';
import { unpinUserPagesDirtyLock } from '../src/unpin.ts';
import { VM, Vma } from '../src/vma.ts';
import { exitMmap, zapRange } from '../src/zap.ts';
import {
  BASE,
  bootFaulting,
  leavesOf,
  pin,
  PIN_READ,
  PIN_WRITE,
  type Faulting,
} from './faulting.ts';
import { GEOMETRIES } from './machine.ts';
import {
  PlainFile,
  PlainMachine,
  PlainSpace,
  type PlainArea,
  type PlainFolio,
  type PlainPage,
} from './plain-space.ts';

const numRuns = Number(process.env.PINFOLD_RUNS ?? 150);
const seed = Number(process.env.PINFOLD_SEED ?? 17);
const TIMEOUT = 60_000 + 1000 * numRuns;
/** Blocks of the window in which everything happens. */
const BLOCKS = 4;
const HUGE_PAGES = 5;
const LIMIT = 900;

/** How the machine is set up. */
interface Settings {
  readonly seed: number;
  /** Index of a {@link ThpCase}. */
  readonly thp: number;
  readonly useZeroPage: boolean;
  readonly split: boolean;
  readonly shmemHuge: boolean;
  readonly barsObey: boolean;
  readonly reuse: boolean;
  readonly needsWritable: boolean;
  readonly wholeFolio: boolean;
}

/** One kind of memory that can be mapped, in both models. */
interface Kind {
  readonly ops: VmOperations;
  readonly plain: PlainArea['what'];
  readonly flags: number;
}

/** Pins that are held: the page array, and whose pages they are. */
interface Pins {
  readonly pages: Float64Array;
  readonly plain: readonly PlainPage[];
  readonly write: boolean;
}

const FAILURES: Readonly<Record<number, string>> = {
  [VM_FAULT.OOM]: 'OOM',
  [VM_FAULT.SIGBUS]: 'SIGBUS',
  [VM_FAULT.SIGSEGV]: 'SIGSEGV',
};

/** The two models side by side. What memory holds is noted by frame, for the one that has frames. */
class World {
  readonly machine: Faulting;
  readonly plainMachine: PlainMachine;
  /** Order and pages of a PMD leaf, and the pages of the window. */
  readonly pmdOrder: number;
  readonly block: number;
  readonly window: number;
  readonly kinds: readonly Kind[];
  readonly spaces: [MmStruct, PlainSpace][];
  readonly bar: PciBar;
  readonly pins: Pins[] = [];
  /** Whether a pin never returned, which ends everything. */
  hung = false;
  readonly #task: Task;
  readonly #written = new Map<number, number>();
  readonly #headOf = new Map<PlainFolio, number>();
  #token = 0;

  constructor(settings: Settings, geometry: PageGeometry) {
    const { pmdOrder, pageSize } = geometry;
    this.pmdOrder = pmdOrder;
    this.block = 2 ** pmdOrder;
    this.window = BLOCKS * this.block;
    this.bar = new PciBar(2 ** 26 + this.block, 2 * this.block + 6);
    this.plainMachine = new PlainMachine(geometry);
    const { seed, thp, useZeroPage, split, shmemHuge } = settings;
    const { barsObey, reuse, needsWritable, wholeFolio } = settings;
    const { enabled, orders, always, advised } = thpSettings(pmdOrder)[thp];
    this.machine = bootFaulting({
      thp: { enabled, orders, useZeroPage, shmem: shmemHuge ? 'always' : 'never' },
      rules: {
        hugeZeroUnshare: split ? 'split' : 'thp',
        diskLargeFolios: false,
        largeAnonReuse: reuse ? 'sole-mapper' : 'never',
        deviceHugeObeysThp: barsObey,
        collapseNeedsWritable: needsWritable,
        faultAround: wholeFolio ? 'folio' : 'window',
      },
      hugePages: HUGE_PAGES,
      seed,
      geometry,
    });
    const plain = { orders: { always, advised }, useZeroPage, splitHugeZero: split, shmemHuge };
    const largeBars = LARGE_BARS[barsObey ? enabled : 'always'];
    const rules = { largeBars, reusesLarge: reuse, collapseNeedsWritable: needsWritable };
    Object.assign(this.plainMachine, { ...plain, ...rules, mapsWholeFolio: wholeFolio });
    this.plainMachine.freeHugePages = HUGE_PAGES;
    this.spaces = [[this.machine.mm, new PlainSpace(this.plainMachine)]];
    this.#task = new Task(this.machine.mm, LIMIT * pageSize);
    this.kinds = this.#makeKinds();
  }

  #makeKinds(): Kind[] {
    const file = (kind: 'shmem' | 'disk' | 'hugetlbfs', npage: number, filled: boolean): Kind => {
      const order = kind === 'hugetlbfs' ? this.pmdOrder : 0;
      const ops = new MappedFile(kind, npage, order);
      const plain = new PlainFile(kind, npage, order);
      if (filled) {
        ops.fill(this.machine.mm, new Vma(BASE, BASE + 1, VM.READ, ops));
        for (let i = 0; i < npage; i += 2 ** order) this.plainMachine.cache(plain, i, [order]);
      }
      return { ops, plain, flags: order > 0 ? VM.HUGETLB | VM.NORESERVE : 0 };
    };
    const { bar } = this;
    return [
      { ops: anonymousMemory, plain: 'anon', flags: 0 },
      { ops: anonymousMemory, plain: 'anon', flags: 0 },
      { ops: new HugetlbMemory(this.pmdOrder), plain: 'hugetlb', flags: VM.HUGETLB | VM.NORESERVE },
      file('shmem', 30, true),
      file('shmem', 2 * this.block + 176, false),
      file('disk', 40, true),
      file('hugetlbfs', 2 * this.block, false),
      { ops: bar, plain: bar, flags: VM.PFNMAP | VM.IO | VM.SHARED },
    ];
  }

  #pagesOf({ blocks, pages }: Pages): number {
    return Math.max(0, blocks * this.block + pages);
  }

  /** Does one call in both models, and compares what they answer. */
  do(call: Call): void {
    const [mm, plain] = this.spaces[call.space % this.spaces.length];
    const vpn = BASE + (this.#pagesOf(call.at) % this.window);
    const end = Math.min(vpn + this.#pagesOf(call.npage), BASE + this.window);
    const npage = end - vpn;
    const prot = { read: (call.prot & 1) !== 0, write: (call.prot & 2) !== 0 };
    const flags = (prot.read ? VM.READ : 0) | (prot.write ? VM.WRITE : 0);
    const [parent, plainParent] = this.spaces[0];
    switch (call.op) {
      case 'mmap':
        this.#mmap(call, vpn, npage, flags, prot);
        break;
      case 'touch':
        this.#touch(mm, plain, vpn, Math.min(npage, 40), prot.write);
        break;
      case 'pin':
        this.#pin(mm, plain, vpn, npage, prot.write);
        break;
      case 'unpin':
        this.#unpin(this.#pagesOf(call.at));
        break;
      case 'dma':
        this.#deviceWrites(this.#pagesOf(call.at));
        break;
      case 'munmap':
        expect(munmap(parent, vpn, npage)).toBe(plainParent.munmap(vpn, end));
        break;
      case 'mprotect':
        expect(mprotect(parent, vpn, npage, flags)).toBe(plainParent.mprotect(vpn, end, prot));
        break;
      case 'advise': {
        const advice = prot.read ? 'huge' : 'nohuge';
        const flag = prot.read ? VM.HUGEPAGE : VM.NOHUGEPAGE;
        expect(adviseHugepage(parent, vpn, npage, flag)).toBe(plainParent.advise(vpn, end, advice));
        break;
      }
      case 'dontneed':
        expect(adviseDontneed(mm, vpn, npage)).toBe(plain.dontneed(vpn, end));
        break;
      case 'mlock':
        expect(mlock(this.#task, vpn, npage, true)).toBe(
          plainParent.mlock(vpn, end, { pages: LIMIT }),
        );
        break;
      case 'munlock':
        expect(mlock(this.#task, vpn, npage, false)).toBe(plainParent.munlock(vpn, end));
        break;
      case 'collapse':
        expect(adviseCollapse(mm, vpn, npage)).toBe(plain.collapse(vpn, end));
        break;
      case 'fork':
        this.#fork();
        break;
      case 'memory':
        // Sometimes memory runs out, and sometimes there is more.
        this.machine.frames.left = this.plainMachine.left = prot.write
          ? Infinity
          : this.#pagesOf(call.at) % 8;
        break;
      case 'device':
        this.#switchDevice();
        break;
    }
  }

  #mmap(call: Call, at: number, npage: number, flags: number, prot: Prot): void {
    const { ops, plain, flags: kindFlags } = this.kinds[call.kind % this.kinds.length];
    const huge = (kindFlags & VM.HUGETLB) !== 0;
    const vpn = huge ? at - offsetIn(at, this.pmdOrder) : at;
    const pages = huge ? this.block * (1 + (npage % 2)) : npage;
    const isFile = ops instanceof MappedFile;
    const shared = (kindFlags & VM.SHARED) !== 0 || (isFile && call.pgoff % 2 === 0);
    const pgoff = isFile || ops instanceof PciBar ? [0, 0, 1, this.block][call.pgoff % 4] : 0;
    const offset = huge ? pgoff - offsetIn(pgoff, this.pmdOrder) : pgoff;
    const all = flags | kindFlags | (shared ? VM.SHARED : 0);
    const [mm, space] = this.spaces[0];
    const ret = doMmap(mm, { vpn, npage: pages, flags: all, ops, pgoff: offset });
    expect(ret).toBe(space.mmap(vpn, pages, { what: plain, pgoff: offset, shared, ...prot }));
  }

  #touch(mm: MmStruct, plain: PlainSpace, vpn: number, npage: number, write: boolean): void {
    for (let at = vpn; at < vpn + npage; at++) {
      const code = touchPage(mm, at, write);
      expect(code === 0 ? null : FAILURES[code]).toBe(plain.touch(at, write));
      const page = plain.pages.get(at);
      if (code !== 0 || !write || !page?.leaf.folio) continue;
      this.#bind(page.leaf.folio, mm.pageTable.pfnAt(at) - page.index);
      this.#write(mm.pageTable.pfnAt(at), page);
    }
  }

  #pin(mm: MmStruct, plain: PlainSpace, vpn: number, npage: number, write: boolean): void {
    const pinned = this.#pinOrHang(mm, vpn, npage, write);
    if (pinned === null) return;
    const { ret, pages, pfns } = pinned;
    const expected = plain.pin(vpn, npage, write);
    if (typeof expected === 'number') {
      expect(ret).toBe(expected);
      return;
    }
    expect(ret).toBe(expected.length);
    expected.forEach(({ leaf, index }, i) => {
      this.#bind(leaf.folio!, pfns[i] - index);
    });
    this.pins.push({ pages: pages.slice(0, ret), plain: expected, write });
  }

  /**
   * A read-only pin of a private mapping never returns at a huge page of the file: nothing comes after it.
   */
  #pinOrHang(
    mm: MmStruct,
    vpn: number,
    npage: number,
    write: boolean,
  ): ReturnType<typeof pin> | null {
    try {
      return pin(mm, vpn, npage, write ? PIN_WRITE : PIN_READ);
    } catch (error) {
      if (!(error instanceof KernelHang)) throw error;
      const areas = mm.vmas.overlapping(vpn, vpn + npage);
      const shmem = areas.filter(({ ops }) => ops instanceof MappedFile && ops.kind === 'shmem');
      expect(shmem.some(({ flags }) => (flags & VM.SHARED) === 0)).toBe(true);
      expect(write).toBe(false);
      this.hung = true;
      return null;
    }
  }

  #unpin(which: number): void {
    if (this.pins.length === 0) return;
    const [{ pages, plain, write }] = this.pins.splice(which % this.pins.length, 1);
    unpinUserPagesDirtyLock(this.machine.memory, pages, pages.length, write);
    for (const { leaf } of plain) {
      leaf.folio!.pins--;
      this.plainMachine.put(leaf.folio);
    }
  }

  #deviceWrites(which: number): void {
    const pins = this.pins[which % this.pins.length];
    if (!pins?.write) return;
    pins.plain.forEach((page, i) => {
      this.#write(this.machine.memmap.pageToPfn(pins.pages[i]), page);
    });
  }

  #fork(): void {
    if (this.spaces.length > 1) {
      const [[mm, plain]] = this.spaces.splice(1);
      exitMmap(mm);
      plain.exit();
      return;
    }
    const [parent, plainParent] = this.spaces[0];
    const child = new MmStruct(this.machine.memory);
    const plain = plainParent.fork();
    expect(dupMmap(parent, child)).toBe(plain === null ? -12 : 0);
    if (plain) this.spaces.push([child, plain]);
  }

  /** A device that is switched off takes its memory away from all processes. */
  #switchDevice(): void {
    const { bar } = this;
    bar.enabled = !bar.enabled;
    if (bar.enabled) return;
    for (const [mm, plain] of this.spaces) {
      for (const vma of mm.vmas) if (vma.ops === bar) zapRange(mm, vma.start, vma.end);
      plain.revoke(bar);
    }
  }

  #write(pfn: number, { leaf, index }: PlainPage): void {
    this.#token++;
    this.#written.set(pfn, this.#token);
    leaf.folio!.contents[index] = this.#token;
  }

  /** Notes where a folio is that is seen for the first time; it stays there. */
  #bind(folio: PlainFolio, head: number): void {
    const known = this.#headOf.get(folio);
    if (known !== undefined) {
      expect(head).toBe(known);
      return;
    }
    this.#headOf.set(folio, head);
    folio.contents.forEach((token, i) => this.#written.set(head + i, token));
  }

  /** Compares everything that can be seen of both. */
  compare(): void {
    for (const [mm, plain] of this.spaces) {
      for (let at = BASE; at < BASE + this.window; at++) this.#comparePage(mm, plain, at);
      expect(mm.lockedVm).toBe(plain.lockedVm);
    }
    this.#compareFolios();
    const { memory } = this.machine;
    expect(memory.hugetlbPool(this.pmdOrder)?.freeHugePages).toBe(this.plainMachine.freeHugePages);
    const held = this.pins.reduce((sum, { plain }) => sum + plain.length, 0);
    expect(memory.vmstat.pinsHeld).toBe(held);
  }

  #comparePage(mm: MmStruct, plain: PlainSpace, at: number): void {
    const pfn = mm.pageTable.pfnAt(at);
    const page = plain.pages.get(at);
    if (pfn < 0 && page === undefined) return;
    const { level, index, ptes, dirs } = mm.pageTable;
    const bits = (level === 0 ? ptes : dirs).bits[index];
    const area = plain.areas.get(at);
    if (pfn < 0 || !page || !area || level !== page.leaf.level) {
      expect({ at, pfn, level }).toEqual({
        at,
        pfn: page ? 'a frame' : -1,
        level: page?.leaf.level,
      });
      return;
    }
    const { folio, exclusive } = page.leaf;
    const seen = {
      at,
      exclusive: (bits & PTE.anonExclusive) !== 0,
      special: (bits & PTE.special) !== 0,
    };
    if (seen.exclusive !== exclusive || seen.special !== (folio === null)) {
      expect(seen).toEqual({ at, exclusive, special: folio === null });
    }
    if (folio === null) {
      const zero = level === 1 ? this.block + (at % this.block) : 1;
      if (pfn !== (area.what === 'anon' ? zero : page.index)) expect({ at, pfn }).toBe(page);
    } else {
      if (this.#headOf.get(folio) !== pfn - page.index) this.#bind(folio, pfn - page.index);
      const [token, expected] = [this.#written.get(pfn), folio.contents[page.index]];
      if (token !== expected) expect({ at, token }).toEqual({ at, token: expected });
    }
    if (folio?.anon && ((bits & PTE.write) !== 0) !== page.leaf.writable) {
      expect({ at, writable: !page.leaf.writable }).toEqual({ at, writable: page.leaf.writable });
    }
    // An entry that may be written is of memory that may be, and nobody else's, or meant for all.
    const writable = area.write && (exclusive || area.shared);
    if (bits & PTE.write && !writable) expect({ at, writable: true }).toEqual({ at, writable });
  }

  /** Every folio has the references that the plain model counts; no frame is two folios. */
  #compareFolios(): void {
    const expected = new Map<number, PlainFolio>();
    let unseen = 0;
    for (const folio of this.plainMachine.folios) {
      const head = this.#headOf.get(folio);
      if (head === undefined) unseen++;
      else expected.set(head, folio);
    }
    expect(expected.size).toBe(this.plainMachine.folios.size - unseen);
    for (const { pfn, order, refcount, pincount } of this.machine.memmap.foliosInUse()) {
      const folio = expected.get(pfn);
      // A page that lies in a page cache only: its frame was never seen.
      const plain = folio ?? { refcount: 1, pins: 0, order };
      if (folio === undefined) unseen--;
      else expected.delete(pfn);
      const pins = order > 0 ? plain.pins : 0;
      if (refcount !== plain.refcount || pincount !== pins || order !== plain.order) {
        expect([pfn, order, refcount, pincount]).toEqual([pfn, plain.order, plain.refcount, pins]);
      }
    }
    expect([unseen, expected.size]).toEqual([0, 0]);
  }

  /** All processes end, the files go, the last pins are dropped: nothing is in use. */
  end(): void {
    for (const [mm, plain] of this.spaces) {
      exitMmap(mm);
      plain.exit();
      expect(leavesOf(mm)).toBe(0);
    }
    this.#compareFolios();
    for (const { ops, plain } of this.kinds) {
      if (!(ops instanceof MappedFile)) continue;
      ops.evict(this.machine.memory);
      this.plainMachine.evict(plain as PlainFile);
    }
    this.#compareFolios();
    while (this.pins.length > 0) this.#unpin(0);
    const { memory, memmap } = this.machine;
    expect([...memmap.foliosInUse()]).toEqual([]);
    expect(memory.hugetlbPool(this.pmdOrder)).toMatchObject({
      freeHugePages: HUGE_PAGES,
      resvHugePages: 0,
    });
    expect(memory.vmstat.pinsHeld).toBe(0);
    expect([...memory.warnings]).toEqual([]);
  }
}

/** Settings of THP, and the orders that they allow for all and for who asked, largest first. */
interface ThpCase {
  readonly enabled: 'always' | 'madvise' | 'never';
  readonly orders: ThpSettings['orders'];
  readonly always: readonly number[];
  readonly advised: readonly number[];
}

function thpSettings(pmd: number): readonly ThpCase[] {
  const huge = { [pmd]: 'inherit' } as const;
  const some = { 2: 'always', 4: 'madvise', ...huge } as const;
  const both = { 3: 'inherit', ...huge } as const;
  return [
    { enabled: 'always', orders: huge, always: [pmd], advised: [pmd] },
    { enabled: 'madvise', orders: huge, always: [], advised: [pmd] },
    { enabled: 'never', orders: some, always: [2], advised: [4, 2] },
    { enabled: 'always', orders: both, always: [pmd, 3], advised: [pmd, 3] },
    { enabled: 'never', orders: {}, always: [], advised: [] },
  ];
}

/** Advice with which device memory may have large leaves, by the setting for all. */
const LARGE_BARS = {
  always: ['none', 'huge'],
  madvise: ['huge'],
  never: [],
} as const;

const OPS = [
  ...(['touch', 'touch', 'touch', 'touch', 'touch', 'touch', 'pin', 'pin', 'pin', 'mmap'] as const),
  ...(['mmap', 'munmap', 'mprotect', 'mprotect', 'advise', 'dontneed', 'mlock'] as const),
  ...(['munlock', 'unpin', 'dma', 'collapse', 'fork', 'fork', 'memory', 'device'] as const),
];

/** A place or a length: blocks of a PMD leaf, and pages. */
interface Pages {
  readonly blocks: number;
  readonly pages: number;
}

/** A call; each kind looks at some of these. */
interface Call {
  readonly op: (typeof OPS)[number];
  readonly space: number;
  readonly at: Pages;
  readonly npage: Pages;
  readonly prot: number;
  readonly kind: number;
  readonly pgoff: number;
}

/** Places and lengths around the borders of large leaves, and anywhere. */
const block = fc.nat({ max: BLOCKS - 1 });
const none = fc.constant(0);
const place: fc.Arbitrary<Pages> = fc.oneof(
  fc.record({ blocks: block, pages: none }),
  fc.record({ blocks: block, pages: fc.integer({ min: -3, max: 20 }) }),
  fc.record({ blocks: block, pages: fc.nat({ max: 511 }) }),
);
const length: fc.Arbitrary<Pages> = fc.oneof(
  fc.record({ blocks: none, pages: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ blocks: fc.constantFrom(1, 2, BLOCKS), pages: none }),
  fc.record({ blocks: fc.constantFrom(1, 1, 2), pages: fc.integer({ min: -3, max: 76 }) }),
);
const rest = {
  space: fc.nat({ max: 1 }),
  prot: fc.constantFrom(3, 3, 3, 3, 1, 1, 2, 0),
  kind: fc.nat({ max: 7 }),
  pgoff: fc.nat({ max: 3 }),
};
const call: fc.Arbitrary<Call> = fc.record({
  ...{ op: fc.constantFrom(...OPS), at: place, npage: length },
  ...rest,
});
const settings: fc.Arbitrary<Settings> = fc.record({
  ...{ seed: fc.nat(), thp: fc.constantFrom(0, 0, 1, 2, 3, 4) },
  ...{ useZeroPage: fc.constantFrom(true, true, false), split: fc.boolean() },
  ...{ shmemHuge: fc.boolean(), barsObey: fc.boolean(), reuse: fc.boolean() },
  ...{ needsWritable: fc.boolean(), wholeFolio: fc.boolean() },
});
/** What is mapped at the beginning: most of a block each. */
const first: fc.Arbitrary<Call> = fc.record({
  op: fc.constant('mmap'),
  npage: fc.oneof(
    fc.record({ blocks: fc.constant(1), pages: fc.constantFrom(0, 0, -3) }),
    fc.record({ blocks: fc.constantFrom(0, 2), pages: fc.constantFrom(76, 300) }),
  ),
  at: fc.record({ blocks: block, pages: fc.constantFrom(0, 0, 0, 5) }),
  ...{ ...rest, prot: fc.constantFrom(3, 3, 3, 1) },
});

test.each(GEOMETRIES)(
  'address spaces of pages of $pageSize bytes are what a model page by page says, and leave nothing behind',
  { timeout: TIMEOUT },
  (geometry) => {
    fc.assert(
      fc.property(
        settings,
        fc.array(first, { minLength: 5, maxLength: 5 }),
        fc.array(call, { minLength: 10, maxLength: 40, size: 'max' }),
        (options, firsts, calls) => {
          const world = new World(options, geometry);
          for (const each of [...firsts, ...calls]) {
            world.do(each);
            if (world.hung) return;
            world.compare();
          }
          world.end();
        },
      ),
      // A window of larger blocks takes longer to compare.
      { seed, numRuns: Math.ceil((numRuns * X86_64.tableEntries) / geometry.tableEntries) },
    );
  },
);
