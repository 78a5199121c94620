/**
 * Random groups that join and leave a container, in which mappings are made and taken away and a
 * device pins pages, against a plain model: every result, and after every step the domains, the
 * usable addresses, every translation, pin and charge; on every release, with its own pin algorithm
 * and with extents.
 *
 * PINFOLD_RUNS=5000 does 5000 sequences per kernel instead of the default.
 */
import fc from 'fast-check';
import { errnoName, KernelError } from '@pinfold/base';
import { intelVtd, type IommuUnit } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { pinAlgorithm, type IommuGroup, type PinAlgorithm, type VfioDevice } from '../src/index.ts';
import { BAR, bytes, Guest, PFN, VPN } from './guest.ts';
import { emulatedGroup, iommuGroup } from './mixed.ts';
import { pinsByFolio } from './pins.ts';
import { PlainGroups, type PlainPage } from './plain-groups.ts';
import { kernels, type TestKernel } from './kernels.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const numRuns = Number(process.env.PINFOLD_RUNS ?? 150);

/** Where mappings begin: low, in the interrupt window, around the ends of 39 and 48 bits. */
const PLACES = [256, 300, 512, 4096, 0xfee80, 2 ** 27 - 8, 2 ** 27, 2 ** 36 - 4, 2 ** 36];
/** Those which only memory without holes is mapped at: where a map fails is the first chunk's end. */
const HIGH = 2 ** 27 - 8;

const UNITS: readonly IommuUnit[] = [
  intelVtd(),
  intelVtd(39),
  intelVtd(57),
  { ...intelVtd(), superpageOrders: [9] },
  { ...intelVtd(57), superpageOrders: [] },
  { ...intelVtd(), snoopControl: true },
];

/** 16 pages in a row, 16 scattered, 4 that are not there, 8 of a device, 20 in a row. */
const PAGES: readonly PlainPage[] = Array.from({ length: 64 }, (_, i): PlainPage => {
  if (i < 16) return { kind: 'memory', pfn: PFN + i };
  if (i < 32) return { kind: 'memory', pfn: PFN + 100 + 2 * (i ^ 1) };
  if (i < 36) return { kind: 'hole', pfn: 0 };
  if (i < 44) return { kind: 'device', pfn: BAR + i };
  return { kind: 'memory', pfn: PFN + 200 + i };
});

const place = fc.nat({ max: PLACES.length - 1 }).map((i) => PLACES[i]);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('map'),
      iovaPn: place,
      from: fc.constantFrom(0, 3, 12, 16, 28, 36, 40, 44, 50),
      npage: fc.integer({ min: 1, max: 20 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('unmap'), which: fc.nat({ max: 9 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom('pin', 'pin', 'unpin'),
      which: fc.nat({ max: 9 }),
      away: fc.integer({ min: -1, max: 12 }),
      npage: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('group'), which: fc.nat({ max: UNITS.length - 1 }) }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('device') }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('limit'),
      pages: fc.constantFrom(0, 2, 20, 40, 2 ** 30),
      capIpcLock: fc.constantFrom(false, false, true),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A container and the plain model of it. */
class Pair {
  readonly guest: Guest;
  readonly plain: PlainGroups;
  readonly groups: readonly IommuGroup[] = UNITS.map((unit, i) => iommuGroup(`unit ${i}`, unit));
  readonly emulated = emulatedGroup();
  readonly device: VfioDevice;
  readonly in: Set<IommuGroup> = new Set();
  /** What the device has pinned, a page per reference. */
  held: number[] = [];
  open = false;

  constructor(kernel: TestKernel, startsEmulated: boolean, pinAlgorithm: PinAlgorithm) {
    const { groups, emulated } = this;
    this.device = {
      name: 'ext0',
      group: emulated,
      dmaUnmap: (iova, size) => this.release(iova, size),
    };
    const group = startsEmulated ? emulated : groups[0];
    this.guest = new Guest({ kernel, group, type1: { pinAlgorithm } });
    this.plain = new PlainGroups(kernel);
    if (startsEmulated) this.openDevice();
    else {
      this.in.add(groups[0]);
      this.plain.attach(groups[0].name, groups[0].unit);
    }
    const frames = (from: number, to: number): number[] =>
      PAGES.slice(from, to).map(({ pfn }) => pfn);
    this.guest.mmapFrames(VPN, frames(0, 32));
    this.guest.mmapBar({ vpn: VPN + 36, npage: 8, pfn: BAR + 36 });
    this.guest.mmapFrames(VPN + 44, frames(44, 64));
  }

  /** Groups that are in, of either kind. */
  get count(): number {
    return this.in.size + (this.open ? 1 : 0);
  }

  openDevice(): void {
    this.open = true;
    this.plain.emulated.add('ext0');
    this.guest.container.openDevice(this.device);
  }

  /** The device gives back what it has pinned in a range. */
  release(iova: bigint, size: bigint): void {
    const inside = (page: number): boolean => bytes(page) >= iova && bytes(page) < iova + size;
    for (const page of this.held) {
      if (inside(page)) this.guest.container.unpinPages(this.device, bytes(page), 1);
    }
    this.held = this.held.filter((page) => !inside(page));
  }

  /** Does a step; returns what container and model returned, or null if it does not apply. */
  run(what: Step): readonly [unknown, unknown] | null {
    const { guest, plain } = this;
    switch (what.op) {
      case 'map': {
        const high = what.iovaPn >= HIGH || what.iovaPn === 0xfee80;
        const [from, npage] = high ? [0, Math.min(16, what.npage)] : [what.from, what.npage];
        const pages = PAGES.slice(from, from + npage);
        const { ret } = guest.map(what.iovaPn, pages.length, VPN + from);
        return [named(ret), plain.map(what.iovaPn, pages)];
      }
      case 'unmap': {
        const mapping = plain.mappings[what.which % (plain.mappings.length || 1)];
        if (!mapping) return null;
        const { iovaPn, pages } = mapping;
        plain.unmap(iovaPn);
        return [named(guest.unmap(iovaPn, pages.length).ret), 0];
      }
      case 'group':
        return this.#toggle(this.groups[what.which]);
      case 'device':
        return this.#toggleDevice();
      case 'limit':
        guest.task.rlimitMemlock = what.pages * 4096;
        guest.task.capIpcLock = what.capIpcLock;
        plain.limit = what.pages;
        plain.lockCap = what.capIpcLock;
        return null;
      default:
        return this.open ? this.#pin(what) : null;
    }
  }

  #pin(what: Step & { op: 'pin' | 'unpin' }): readonly [unknown, unknown] {
    const { container } = this.guest;
    const { op, npage } = what;
    const { mappings } = this.plain;
    const iovaPn = (mappings[what.which % (mappings.length || 1)]?.iovaPn ?? 256) + what.away;
    const pages = Array.from({ length: npage }, (_, i) => iovaPn + i);
    if (op === 'pin') {
      const ret = container.tryPinPages(this.device, bytes(iovaPn), npage, 1, []);
      if (ret > 0) this.held.push(...pages);
      return [named(ret), this.plain.pin(iovaPn, npage)];
    }
    // Only what it has: more would take references of nobody.
    const [page] = pages.filter((candidate) => this.held.includes(candidate));
    if (page === undefined) return [0, 0];
    this.held.splice(this.held.indexOf(page), 1);
    container.unpinPages(this.device, bytes(page), 1);
    this.plain.unpin(page, 1);
    return [0, 0];
  }

  #toggle(group: IommuGroup): readonly [unknown, unknown] | null {
    const { container, task } = this.guest;
    if (!this.in.has(group)) {
      const results = [attempt(() => container.addGroup(group, task))] as const;
      const expected = this.plain.attach(group.name, group.unit);
      if (expected === 0) this.in.add(group);
      return [results[0], expected];
    }
    if (this.count === 1) return null;
    this.in.delete(group);
    this.plain.detach(group.name);
    return [attempt(() => container.removeGroup(group)), 0];
  }

  #toggleDevice(): readonly [unknown, unknown] | null {
    const { container } = this.guest;
    if (!this.open) {
      const added = attempt(() => container.addGroup(this.emulated));
      this.openDevice();
      return [added, 0];
    }
    if (this.count === 1) return null;
    this.release(0n, 2n ** 64n);
    container.closeDevice(this.device);
    this.open = false;
    this.plain.unpinAll();
    return [attempt(() => container.removeGroup(this.emulated)), 0];
  }

  /** Everything that the model predicts, of the container. */
  actual(): unknown {
    const { iommu, mm, memory } = this.guest;
    return {
      units: iommu.domainList.map(({ domain }) => domain.unit),
      groups: iommu.domainList.map(({ groupList }) => groupList.map(({ name }) => name).sort()),
      last: iommu.iovaList.at(-1)?.last ?? null,
      sizes: iommu.pgsizeBitmap,
      scope: iommu.numNonPinnedGroups,
      mappings: Array.from(iommu.dmaList, (dma) => [dma.iovaPn, dma.npage, dma.iommuMapped]),
      translations: iommu.domainList.map(({ domain }) => translations(domain.leaves())),
      nodes: Array.from(iommu.dmaList, ({ pfnList }) =>
        Array.from(pfnList, (node) => [node.iovaPn, node.refCount]),
      ),
      lockedVm: [mm.lockedVm, sum(Array.from(iommu.dmaList, (dma) => dma.lockedVm))],
      pins: [pinsByFolio(this.guest), memory.vmstat.pinsHeld],
      warnings: [...memory.warnings],
    };
  }

  /** The same, of the model. */
  predicted(): unknown {
    const { domains, mappings, lockedVm, pins, last } = this.plain;
    const byFrame: Record<number, number> = {};
    for (const pfn of pins) byFrame[pfn] = (byFrame[pfn] ?? 0) + 1;
    const mapped = mappings.flatMap(({ iovaPn, pages }) =>
      pages.map(({ pfn }, i): [number, number] => [iovaPn + i, pfn]),
    );
    return {
      units: domains.map(({ unit }) => unit),
      groups: domains.map(({ groups }) => [...groups].sort()),
      last,
      sizes: domains.reduce((sizes, { unit }) => sizes & sizesOf(unit), 2n ** 64n - 4096n),
      scope: sum(domains.map(({ groups }) => groups.size)),
      mappings: mappings.map((dma) => [dma.iovaPn, dma.pages.length, dma.mapped]),
      translations: domains.map(() => mapped),
      nodes: mappings.map(({ nodes, iovaPn }) =>
        Array.from(nodes, ([i, { references }]) => [iovaPn + i, references]).sort(
          ([a], [b]) => a - b,
        ),
      ),
      lockedVm: [lockedVm, lockedVm],
      pins: [byFrame, pins.length],
      warnings: [],
    };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function sizesOf({ superpageOrders }: IommuUnit): bigint {
  return superpageOrders.reduce((sizes, order) => sizes | (4096n << BigInt(order)), 4096n);
}

/** Page by page. */
function translations(
  leaves: Iterable<{ iovaPn: number; pfn: number; order: number }>,
): [number, number][] {
  return Array.from(leaves).flatMap(({ iovaPn, pfn, order }) =>
    Array.from({ length: 2 ** order }, (_, i): [number, number] => [iovaPn + i, pfn + i]),
  );
}

/** A result with the name of its errno. */
function named(ret: number): string | number {
  return ret < 0 ? errnoName(ret) : ret;
}

/** 0, or the name of the errno that a call throws. */
function attempt(call: () => void): string | number {
  try {
    call();
    return 0;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

describe.each(kernels)('kernel $name', (kernel) => {
  test.each([kernel.type1.pinAlgorithm, pinAlgorithm('extent')])(
    'groups come and go as in the plain model: $name',
    (algorithm) => {
      const seen = new Set<unknown>();
      const check = (startsEmulated: boolean, steps: readonly Step[]): void => {
        const pair = new Pair(kernel, startsEmulated, algorithm);
        expect(pair.actual()).toEqual(pair.predicted());
        for (const what of steps) {
          const results = pair.run(what);
          if (!results) continue;
          expect(results[0], what.op).toEqual(results[1]);
          seen.add(`${what.op} ${String(results[1])}`);
          expect(pair.actual(), what.op).toEqual(pair.predicted());
        }
        const { guest } = pair;
        pair.release(0n, 2n ** 64n);
        guest.container.close();
        expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([0, 0]);
      };
      const steps = fc.array(step, { minLength: 6, maxLength: 30, size: 'max' });
      fc.assert(fc.property(fc.boolean(), steps, check), { numRuns, seed: SEED + 1 });
      // The sequences reach what they are there for.
      for (const result of ['EINVAL', 'ENOMEM', 'EFAULT', 0])
        expect(seen).toContain(`group ${result}`);
      for (const result of ['EINVAL', 'ENOMEM', 'EFAULT', 4])
        expect(seen).toContain(`pin ${result}`);
    },
    60_000 + 1000 * numRuns,
  );
});
