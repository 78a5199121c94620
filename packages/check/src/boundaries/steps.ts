/** Steps on a scene: which operations, at which of its pages, out of numbers that are drawn. */
import { byteAddress, type IovaPn, type Vpn } from '@pinfold/base';
import type { Operation } from '@pinfold/guest';
import * as fc from 'fast-check';
import type { Area, Scene } from './scene.ts';

/** Kinds of steps. */
const STEP_KINDS = [
  'map',
  'unmap',
  'unmapAll',
  'pin',
  'pinInside',
  'pinAcross',
  'pinLimit',
  'unpin',
  'limit',
  'domain',
  'attach',
  'fail',
  'dirty',
  'process',
  'mapNext',
  'onePage',
  'mapRead',
] as const;

/** A kind of step. */
export type StepKind = (typeof STEP_KINDS)[number];

/** How often kinds of steps come, relative to each other. */
export type StepMix = Readonly<Partial<Record<StepKind, number>>>;

/** A step as it is drawn: what the numbers mean is up to the kind. */
export interface Draw {
  readonly kind: StepKind;
  readonly at: number;
  readonly from: number;
  readonly to: number;
  readonly how: number;
  readonly more: number;
}

const MAX_DRAW = 2 ** 16;

/**
 * Draws steps.
 *
 * @param mix how often each kind comes
 * @param maxLength steps at most, besides the first ones
 * @param begins kinds of the first steps
 * @returns the arbitrary
 */
export function drawnSteps(
  mix: StepMix,
  maxLength: number,
  begins: readonly StepKind[] = [],
): fc.Arbitrary<Draw[]> {
  const kinds = STEP_KINDS.flatMap((kind) => {
    const weight = mix[kind] ?? 0;
    return weight > 0 ? [{ weight, arbitrary: fc.constant(kind) }] : [];
  });
  const first = begins.map((kind) => drawOf(fc.constant(kind)));
  const draw = drawOf(fc.oneof(...kinds));
  const rest = fc.array(draw, { minLength: 3, maxLength, size: 'max' });
  return fc.tuple(fc.tuple(...first), rest).map((parts) => parts.flat());
}

/** A tuple, because a record of fast-check costs more and is sometimes without a prototype. */
function drawOf(kinds: fc.Arbitrary<StepKind>): fc.Arbitrary<Draw> {
  const number = fc.nat(MAX_DRAW);
  return fc
    .tuple(kinds, number, number, number, number, number)
    .map(([kind, at, from, to, how, more]) => ({ kind, at, from, to, how, more }));
}

/** A mapping that was asked for. */
interface PlannedMap {
  readonly iovaPn: IovaPn;
  readonly npage: number;
  readonly area: Area;
}

/** First I/O virtual page of mappings, and how far they are apart: 1 GiB, 8 MiB. */
const IOVA = 0x40000;
const IOVA_STEP = 2048;
/** Pages of 2^64 bytes. */
const IOVA_END = 2 ** 52;
const PAGE = 4096;
/** READ, WRITE: map and pin. */
const RW = 3;
const READ = 1;
/** With it a chunk is one page, and every IOPTE is 4 KiB. */
const DISABLE_HUGEPAGES = '/sys/module/vfio_iommu_type1/parameters/disable_hugepages';

/**
 * Makes operations of drawn steps. What they lead to is not known here; a guess of what is mapped
 * makes most of them meet something.
 *
 * @param scene the memory
 * @param draws the steps
 * @returns the operations
 */
export function operationsOf(scene: Scene, draws: readonly Draw[]): Operation[] {
  const planner = new Planner(scene);
  return draws.flatMap((draw) => planner.step(draw));
}

/** Keeps a guess of what is mapped and pinned. */
class Planner {
  readonly #scene: Scene;
  #maps: PlannedMap[] = [];
  #pins: { readonly iova: bigint; readonly n: number }[] = [];
  #count = 0;
  #capable = true;
  #dirty = false;
  #child = false;
  #onePage = false;
  readonly #in: Set<string>;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#in = new Set(scene.devices === 'emulated' ? [] : ['edu']);
  }

  step(draw: Draw): Operation[] {
    switch (draw.kind) {
      case 'map':
        return [this.#map(draw)];
      case 'unmap':
        return this.#unmap(draw);
      case 'unmapAll':
        this.#maps = [];
        return [{ op: 'unmap', iova: 0n, size: 0n, flags: 2, argsz: 24 }];
      case 'pin':
        return this.#pin(draw, 0);
      case 'pinInside':
        return this.#pin(draw, [0, 1, 0x800, 0xfff][draw.more % 4]);
      case 'pinAcross':
        return this.#pinAcross(draw);
      case 'pinLimit':
        return this.#pinLimit(draw);
      case 'unpin':
        return this.#unpin(draw);
      case 'limit':
        return this.#limit(draw);
      case 'domain':
        return [this.#domain(draw)];
      case 'attach':
        return this.#attach(draw);
      case 'fail':
        return this.#fail(draw);
      case 'dirty':
        return [this.#dirtyStep(draw)];
      case 'process':
        return this.#change(draw);
      case 'mapNext':
        return [this.#map(draw, 1)];
      case 'mapRead':
        // READ only, but for one in eight.
        return [this.#map({ ...draw, more: draw.more % 8 === 0 ? 1 : 0 })];
      case 'onePage':
        this.#onePage = !this.#onePage;
        return [{ op: 'sysfs', path: DISABLE_HUGEPAGES, val: this.#onePage ? 'Y' : 'N' }];
    }
  }

  #map(draw: Draw, place = (draw.how >>> 4) % 6): Operation {
    const { area, vpn, npage } = this.#range(draw);
    const iovaPn = wrapped(this.#iova(draw, place, vpn, npage));
    this.#maps.push({ iovaPn, npage, area });
    this.#count++;
    return {
      ...{ op: 'map', iova: byteAddress(iovaPn), va: byteAddress(vpn), size: byteAddress(npage) },
      ...{ flags: draw.more % 8 === 0 ? READ : RW, argsz: 32 },
    };
  }

  /** From an edge on, or from the page beside it, to the next ones; now and then too far. */
  #range({ at, from, to, how }: Draw): { area: Area; vpn: Vpn; npage: number } {
    const { areas } = this.#scene;
    const area = areas[at % areas.length];
    const edge = area.edges[from % area.edges.length] + [0, -1, -1, 1, -2, 0][how % 6];
    const start = Math.min(Math.max(edge, 0), area.npage - 1);
    const ends = [
      ...[1, 2, 2, 3, 3, 4, 8].map((npage) => start + npage),
      ...area.edges.map((end) => end + [0, 0, 1, -1][how % 4]),
      area.npage + 1,
    ];
    const room = area.npage + (how % 16 === 7 ? 1 : 0);
    const end = Math.min(Math.max(ends[to % ends.length], start + 1), room);
    return { area, vpn: area.vpn + start, npage: end - start };
  }

  /** Place 1 is right behind the mapping before. */
  #iova({ more }: Draw, place: number, vpn: Vpn, npage: number): IovaPn {
    const { iovas = [] } = this.#scene;
    const base = IOVA + this.#count * IOVA_STEP;
    const last = this.#maps.at(-1);
    switch (place) {
      case 0:
        return base + (more % IOVA_STEP);
      case 1:
        return last ? last.iovaPn + last.npage : base;
      case 2:
        return iovas.length > 0 ? iovas[more % iovas.length] - [0, npage, 1][more % 3] : base;
      case 3:
        return base + 64 * (more % 4);
      default:
        return base + (vpn % 512);
    }
  }

  #unmap({ at, more }: Draw): Operation[] {
    if (this.#maps.length === 0) return [];
    const index = at % this.#maps.length;
    const { iovaPn, npage } = this.#maps[index];
    const partial = more % 16 === 0 && npage > 1;
    if (!partial) this.#maps.splice(index, 1);
    const size = byteAddress(partial ? npage - 1 : npage);
    const range = { iova: byteAddress(iovaPn), size };
    if (!this.#dirty || more % 2 === 0) return [{ op: 'unmap', ...range, flags: 0, argsz: 24 }];
    const bits = { pgsize: 4096n, bmsize: bitmapBytes(npage) };
    return [{ op: 'unmap', ...range, flags: 1, argsz: 48, ...bits }];
  }

  #pin({ at, from, to, how }: Draw, offset: number): Operation[] {
    if (this.#maps.length === 0) return [];
    const { iovaPn, npage } = this.#maps[at % this.#maps.length];
    // An address inside the page before a mapping reaches into the mapping.
    const before = offset > 0 ? -1 : 1 % npage;
    const page = [0, npage - 1, from % npage, npage >> 1, 1 % npage, before][to % 6];
    const n = Math.min(1 + [0, 0, 1, 3][how % 4], npage - page);
    return [this.#pinAt(iovaOf(iovaPn + page) + BigInt(offset), n, how)];
  }

  /** From the last pages of a mapping into the one behind it, or to where nothing is mapped. */
  #pinAcross({ at, to, how }: Draw): Operation[] {
    if (this.#maps.length === 0) return [];
    const { iovaPn, npage } = this.#maps[at % this.#maps.length];
    const inside = Math.min(1 + [0, 1, 2][to % 3], npage);
    const first = iovaPn + npage - inside;
    const n = inside + 1 + (how % 3);
    const pin = pinOf(iovaOf(first), n, how);
    // Page by page: an unpin ends where nothing is mapped, and would leave the pages behind pinned.
    for (let i = 0; i < n; i++) this.#pins.push({ iova: iovaOf(first + i), n: 1 });
    return [pin];
  }

  /** More pages than RLIMIT_MEMLOCK allows, or just as many: a device charges what it pins. */
  #pinLimit({ at, from, to, how }: Draw): Operation[] {
    if (this.#maps.length === 0) return [];
    const { iovaPn, npage } = this.#maps[at % this.#maps.length];
    const page = [0, from % npage][to % 2];
    const n = Math.min(2 + (how % 3), npage - page);
    const pinned = this.#pins.reduce((sum, pin) => sum + pin.n, 0);
    const pages = pinned + (from % (n + 1));
    const drop = this.#dropped();
    const limit: Operation = { op: 'memlock', bytes: BigInt(pages * PAGE) };
    return [...drop, limit, this.#pinAt(iovaOf(iovaPn + page), n, how)];
  }

  #pinAt(iova: bigint, n: number, how: number): Operation {
    this.#pins.push({ iova, n });
    return pinOf(iova, n, how);
  }

  #unpin({ at }: Draw): Operation[] {
    const [pin] = this.#pins.splice(at % Math.max(1, this.#pins.length), 1);
    if (!(pin as typeof pin | undefined)) return [];
    const call = { dev: 'ext0', ...pin, times: 1, from: 'process', forget: false } as const;
    return [{ op: 'unpin', ...call }];
  }

  /** From here on RLIMIT_MEMLOCK binds, near what is locked once the next mapping is made. */
  #limit(draw: Draw): Operation[] {
    const { npage } = this.#range(draw);
    const room = [npage - 1, npage, npage >> 1, 1, 2, draw.more % 8][draw.from % 6];
    const locked = this.#maps.reduce((sum, map) => sum + map.npage, 0);
    const pages = draw.to % 4 === 0 ? room : locked + room;
    return [...this.#dropped(), { op: 'memlock', bytes: BigInt(pages * PAGE) }, this.#map(draw)];
  }

  /** Limits bind those who may not ignore them. */
  #dropped(): Operation[] {
    const drop: Operation[] = this.#capable ? [{ op: 'dropcap' }] : [];
    this.#capable = false;
    return drop;
  }

  /** Groups come and go, the first one too. */
  #domain({ at, more }: Pick<Draw, 'at' | 'more'>): Operation {
    const dev = at % 2 === 0 ? 'edu' : 'ivsh1g';
    if (this.#in.has(dev) && more % 8 !== 0) {
      this.#in.delete(dev);
      return { op: 'delgroup', dev };
    }
    this.#in.add(dev);
    return { op: 'addgroup', dev };
  }

  /** A group that is not there comes; half of the time something fails on its way. */
  #attach({ at, from, how, more }: Draw): Operation[] {
    const devs = ['edu', 'ivsh1g'].filter((dev) => !this.#in.has(dev));
    if (devs.length === 0) return [this.#domain({ at, more })];
    const dev = devs[at % devs.length];
    if (how % 2 === 0) {
      this.#in.add(dev);
      return [{ op: 'addgroup', dev }];
    }
    const what = (['gup', 'map', 'lock', 'alloc'] as const)[from % 4];
    return [
      { op: 'fail', what, n: 1 + (more % 4) },
      { op: 'addgroup', dev },
    ];
  }

  /** What fails is a call of the step behind it. */
  #fail(draw: Draw): Operation[] {
    const what = (['gup', 'map', 'lock', 'alloc', 'fault', 'frame'] as const)[draw.to % 6];
    const n = 1 + (draw.more % 4);
    return [{ op: 'fail', what, n }, ...this.#failing(draw)];
  }

  #failing(draw: Draw): Operation[] {
    const pin = draw.at % 4 === 0 ? this.#pin(draw, 0) : [];
    return pin.length > 0 ? pin : [this.#map(draw)];
  }

  #dirtyStep({ at, from, how }: Draw): Operation {
    const none = { iova: 0n, size: 0n, pgsize: 4096n };
    if (!this.#dirty || how % 8 === 0) {
      this.#dirty = !this.#dirty;
      return { op: 'dirty', flags: this.#dirty ? 1 : 2, ...none, bmsize: 8n, argsz: 8 };
    }
    const map = this.#maps[at % Math.max(1, this.#maps.length)] as PlannedMap | undefined;
    const { iovaPn, npage } = map ?? { iovaPn: IOVA, npage: 1 };
    const before = [0, 0, 1, 7, 64][from % 5];
    const pages = npage + before + [0, 0, 64][from % 3];
    return {
      ...{ op: 'dirty', flags: 4, iova: iovaOf(iovaPn - before), size: byteAddress(pages) },
      ...{ pgsize: 4096n, bmsize: bitmapBytes(pages), argsz: 48 },
    };
  }

  /** The process changes its memory. */
  #change(draw: Draw): Operation[] {
    const { vpn, npage } = this.#range(draw);
    const range = { va: byteAddress(vpn), size: byteAddress(npage) };
    switch (draw.more % 5) {
      case 0:
        return [{ op: 'munmap', ...range }];
      case 1:
        return [{ op: 'madvise', ...range, advice: 'dontneed' }];
      case 2:
        return [{ op: 'mprotect', ...range, prot: draw.how % 2 === 0 ? 'r' : 'rw' }];
      case 3:
        this.#child = !this.#child;
        return [{ op: this.#child ? 'fork' : 'reap' }];
      default:
        return [{ op: 'touch', ...range, mode: 'w', stride: 4096n }];
    }
  }
}

function pinOf(iova: bigint, n: number, how: number): Operation {
  const call = { dev: 'ext0', iova, n, prot: how % 16 === 0 ? READ : RW, times: 1 } as const;
  return { op: 'pin', ...call, from: 'process', null: false, forget: false };
}

/** Addresses have 64 bits: behind the last page is page 0. */
function wrapped(iovaPn: number): IovaPn {
  return (iovaPn + IOVA_END) % IOVA_END;
}

function iovaOf(iovaPn: number): bigint {
  return byteAddress(wrapped(iovaPn));
}

/** Bytes of a bitmap of whole words. */
function bitmapBytes(pages: number): bigint {
  return BigInt(Math.max(1, Math.ceil(pages / 64)) * 8);
}
