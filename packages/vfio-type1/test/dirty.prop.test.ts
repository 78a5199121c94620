/**
 * Random mappings, pins, reads and unmaps while dirty pages are logged, on every release, against a
 * model that does everything bit by bit: what every ioctl returns, every bit of the user's memory,
 * and every bit of the kernel's own bitmaps after it.
 *
 * PINFOLD_RUNS=5000 does 5000 sequences per kernel instead of the default.
 */
import fc from 'fast-check';
import { intelVtd } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { markDirty, narrowDirtyScope } from '../src/dirty.ts';
import { DirtyBitmap, VfioPfn } from '../src/index.ts';
import { bitmapBytes, bitsOf } from './emulated.ts';
import { bytes, Guest, outcome, PFN, VPN } from './guest.ts';
import { PlainDirty, type PlainMemory } from './plain-dirty.ts';
import { kernels, type TestKernel } from './kernels.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const numRuns = Number(process.env.PINFOLD_RUNS ?? 60);
const TIMEOUT = 60_000 + 1000 * numRuns;
/** Pages that mappings lie in, from this one on. */
const [FIRST, WINDOW] = [1000, 700];
/** Pages of the process. */
const MEMORY = 400;

const page = fc.nat({ max: WINDOW - 1 });
/** Where a range begins or ends: a border of a mapping, mostly, or anywhere. */
const border = fc.record({
  which: fc.nat({ max: 40 }),
  away: fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.integer({ min: -70, max: 70 }) },
  ),
});
const memory = fc.record({
  /** Share of the bits that are set before the call. */
  filled: fc.constantFrom(0, 0, 0.1, 0.5),
  seed: fc.nat(),
  /** Words that are not there. */
  missing: fc.constantFrom(0, 0, 0, 0, 1, 2),
  more: fc.constantFrom(0, 0, 1),
});
const range = { from: border, to: border, memory };

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('map'),
      page,
      npage: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 300 })),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom('pin', 'pin', 'write', 'unpin'),
      which: fc.nat(),
      page,
    }),
  },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('get'), ...range }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constantFrom('unmap', 'unmap with bitmap'), ...range }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('start', 'stop') }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('join', 'leave', 'tell') }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Range = Extract<Step, { op: 'get' | 'unmap' | 'unmap with bitmap' }>;
type MemorySpec = typeof memory extends fc.Arbitrary<infer T> ? T : never;

/** A container, and the plain model of it beside it. */
class Pair {
  readonly guest: Guest;
  readonly plain = new PlainDirty();
  readonly #second = { name: 'second', unit: intelVtd() };
  #joined = false;

  constructor(kernel: TestKernel) {
    this.guest = new Guest({ kernel }).mmap({ npage: MEMORY });
    // The first group pins what it uses, so that not everything is dirty from the start.
    narrowDirtyScope(this.guest.iommu, this.guest.iommu.domainList[0].groupList[0]);
    this.start();
  }

  start(): void {
    expect(this.guest.container.tryDirtyPages({ flags: 1 }).ret).toBe(0);
    this.plain.start();
  }

  run(what: Step): void {
    switch (what.op) {
      case 'map': {
        const [iovaPn, npage] = [FIRST + what.page, what.npage];
        const made = outcome(this.guest.map(iovaPn, npage, VPN + (what.page % (MEMORY - 300))));
        if (made === 'ok') this.plain.map(iovaPn, npage);
        else expect(made).toBe('EEXIST');
        break;
      }
      case 'pin':
      case 'write':
      case 'unpin':
        this.#touch(what.op, what.which, what.page);
        break;
      case 'get':
      case 'unmap':
      case 'unmap with bitmap':
        this.#read(what);
        break;
      case 'start':
        this.start();
        break;
      case 'stop':
        expect(this.guest.container.tryDirtyPages({ flags: 2 }).ret).toBe(0);
        this.plain.stop();
        break;
      case 'join':
      case 'leave':
      case 'tell':
        this.#change(what.op);
        break;
    }
  }

  /** The bitmaps, bit by bit. */
  audit(): void {
    const { dmaList } = this.guest.iommu;
    const bitmaps = Array.from(dmaList, ({ iovaPn, bitmap }) => [
      iovaPn,
      bitmap && text(bitsOf(bitmap)),
    ]);
    const { dmas, tracking } = this.plain;
    expect(bitmaps).toEqual(dmas.map(({ iovaPn, bits }) => [iovaPn, tracking ? text(bits) : null]));
  }

  /** What a device does with one page of a mapping. */
  #touch(op: 'pin' | 'write' | 'unpin', which: number, at: number): void {
    const { dmas } = this.plain;
    if (dmas.length === 0) return;
    const { iovaPn, npage, pinned } = dmas[which % dmas.length];
    const pn = iovaPn + (at % npage);
    const { iommu } = this.guest;
    const dma = iommu.dmaList.find(pn, 1);
    if (!dma) throw new Error(`page ${pn} is not mapped`);
    if (op === 'unpin') {
      const vpfn = dma.pfnList.find(pn);
      if (vpfn) dma.pfnList.erase(vpfn);
      this.plain.unpin(pn);
      return;
    }
    if (op === 'pin' && !pinned.has(pn)) dma.pfnList.insert(new VfioPfn(pn, PFN));
    markDirty(iommu, dma, pn, 1);
    this.plain.dirty(pn, op === 'pin');
  }

  /** A second group, which tells nothing until it pins a page. */
  #change(op: 'join' | 'leave' | 'tell'): void {
    const { container, iommu } = this.guest;
    const { plain } = this;
    const tells = iommu.pinnedPageDirtyScope.has(this.#second);
    if (op === 'join' && !this.#joined) {
      container.addGroup(this.#second);
      plain.blind++;
      this.#joined = true;
    } else if (op === 'leave' && this.#joined) {
      container.removeGroup(this.#second);
      if (!tells) plain.leave();
      this.#joined = false;
    } else if (op === 'tell' && this.#joined && !tells) {
      narrowDirtyScope(iommu, this.#second);
      plain.blind--;
    }
  }

  /** A read or an unmap from one border to another. */
  #read({ op, from, to, memory: spec }: Range): void {
    const { container } = this.guest;
    const ends = [this.#border(from), this.#border(to)].sort((a, b) => a - b);
    const [iovaPn, npage] = [ends[0], Math.max(1, ends[1] - ends[0])];
    const size = bitmapBytes(npage);
    const words = Math.max(0, size / 8 + spec.more - spec.missing);
    const plain = memoryOf(spec, 64 * words);
    const data = new DirtyBitmap(64 * words);
    plain.forEach((set, bit) => {
      if (set) data.fill(bit, 1);
    });
    const bitmap = { pgsize: 4096n, size: BigInt(size + 8 * spec.more), data };
    const area = { iova: bytes(iovaPn), size: bytes(npage) };
    if (op === 'get') {
      const done = container.tryDirtyPages({ flags: 4, range: { ...area, bitmap } });
      expect(outcome(done)).toBe(this.plain.get(iovaPn, npage, plain));
    } else {
      this.#giveBack(iovaPn, npage);
      const done = container.tryUnmapDma(op === 'unmap' ? area : { ...area, flags: 1, bitmap });
      const expected = this.plain.unmap(iovaPn, npage, op === 'unmap' ? null : plain);
      expect(outcome(done)).toBe(expected);
    }
    expect(text(bitsOf(data))).toBe(text(plain));
  }

  /** Devices give back what lies in a range before it is unmapped. */
  #giveBack(iovaPn: number, npage: number): void {
    for (const dma of this.guest.iommu.dmaList) {
      if (dma.iovaPn >= iovaPn + npage || dma.lastPn < iovaPn) continue;
      for (const vpfn of [...dma.pfnList]) {
        dma.pfnList.erase(vpfn);
        this.plain.unpin(vpfn.iovaPn);
      }
    }
  }

  #border({ which, away }: { which: number; away: number }): number {
    const borders = this.plain.dmas.flatMap((dma) => [dma.iovaPn, dma.iovaPn + dma.npage]);
    const all = [FIRST - 64, ...borders, FIRST + WINDOW + 300];
    return all[which % all.length] + away;
  }
}

/** Memory with random bits set. */
function memoryOf({ filled, seed }: MemorySpec, bits: number): PlainMemory {
  let state = seed;
  return Array.from({ length: bits }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32 < filled;
  });
}

function text(bits: readonly boolean[]): string {
  return bits.map((set) => (set ? '1' : '.')).join('');
}

describe.each(kernels)('kernel $name', (kernel) => {
  test(
    'reads and unmaps show what the plain model says, bit by bit',
    () => {
      const check = (steps: readonly Step[]): void => {
        const pair = new Pair(kernel);
        for (const what of steps) {
          pair.run(what);
          pair.audit();
        }
        pair.guest.container.close();
        expect([pair.guest.memory.vmstat.pinsHeld, pair.guest.mm.lockedVm]).toEqual([0, 0]);
      };
      const sequence = fc.array(step, { minLength: 5, maxLength: 40, size: 'max' });
      fc.assert(fc.property(sequence, check), { numRuns, seed: SEED + 3 });
    },
    TIMEOUT,
  );
});
