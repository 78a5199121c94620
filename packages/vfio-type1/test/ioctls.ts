/** Random ioctls of a process: good ones, bad ones, and changes of its limit in between. */
import { byteAddress, X86_64 } from '@pinfold/base';
import fc from 'fast-check';
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  type VfioIommuType1DmaMap,
  type VfioIommuType1DmaUnmap,
} from '../src/index.ts';

/** Mostly the first kind of value, in about one case of seven one of the others. */
function mostlyOf<T>(
  usual: fc.Arbitrary<T>,
  ...others: readonly fc.Arbitrary<T>[]
): fc.Arbitrary<T> {
  const weight = 6 * others.length;
  const rare = others.map((arbitrary) => ({ weight: 1, arbitrary }));
  return fc.oneof({ weight, arbitrary: usual }, ...rare);
}

/** Mostly the first value, in about one case of seven one of the others. */
function mostly<T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return mostlyOf(fc.constant(usual), ...others.map((other) => fc.constant(other)));
}

/** What a container is opened with. */
export interface Setup {
  readonly addressWidth: number;
  readonly v2: boolean;
  readonly disableHugepages: boolean;
  readonly dmaEntryLimit: number;
  readonly memlockPages: number;
  readonly capIpcLock: boolean;
}

/** One of six places in the I/O address space, and a page in it. */
interface Place {
  readonly slot: number;
  /** Whether it lies like the virtual page in its GiB, so that large leaves are possible. */
  readonly congruent: boolean;
  readonly page: number;
}

/** Random setups; most have no limit that is reached. */
export const setup: fc.Arbitrary<Setup> = fc.record({
  addressWidth: fc.constantFrom(39, 48, 48),
  v2: fc.boolean(),
  disableHugepages: mostly(false, true),
  dmaEntryLimit: mostly(65_535, 0, 1, 3),
  memlockPages: mostlyOf(fc.constant(2 ** 40), fc.nat({ max: 40 }), fc.nat({ max: 1200 })),
  capIpcLock: mostly(false, true),
});

/** Numbers that choose something when a step is done; which mapping, for example. */
const choice = fc.nat({ max: 1000 });

const mapSpec = fc.record({
  op: fc.constant('map'),
  /** Where it begins: near a border of two regions, and how many pages away. */
  border: choice,
  away: mostlyOf(fc.constant(0), fc.integer({ min: -3, max: 3 }), fc.nat({ max: 600 })),
  npage: fc.oneof(
    { weight: 3, arbitrary: fc.constant('to the next border') },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 40 }) },
    { weight: 2, arbitrary: fc.constant('to the border behind it') },
    { weight: 1, arbitrary: fc.constantFrom(511, 512, 513, 1024, 'to the end', 'beyond the end') },
  ),
  iova: mostlyOf<string | Place>(
    fc.record({ slot: fc.nat({ max: 5 }), congruent: fc.boolean(), page: fc.nat({ max: 40 }) }),
    fc.constant('same as another'),
    fc.constant('into the interrupt window'),
    fc.constant('up to the interrupt window'),
    fc.constant('up to the end'),
    fc.constant('beyond the end'),
    fc.constant('wraps'),
  ),
  flags: mostlyOf(fc.constantFrom(3, 3, 1, 2), fc.constantFrom(0, 8, 7, 5)),
  fault: mostly(
    null,
    'argsz',
    'size 0',
    'iova misaligned',
    'vaddr misaligned',
    'size misaligned',
    'vaddr wraps',
  ),
});

const unmapSpec = fc.record({
  op: fc.constant('unmap'),
  which: choice,
  how: mostly(
    'a mapping',
    'from a mapping to a later one',
    'around a mapping',
    'the first part of a mapping',
    'the last part of a mapping',
    'the middle of a mapping',
    'a hole',
    'everything',
    'everything with an iova',
  ),
  flags: mostlyOf(fc.constantFrom(0, 0, VFIO_DMA_UNMAP_FLAG_VADDR), fc.constantFrom(1, 8)),
  fault: mostly(null, 'argsz', 'size 0', 'iova misaligned', 'size misaligned', 'wraps'),
});

const revalidateSpec = fc.record({
  op: fc.constant('new vaddr'),
  which: choice,
  border: choice,
  /** Whether another process does it. */
  other: fc.boolean(),
  cut: mostly(0, 1),
});

const limitSpec = fc.record({
  op: fc.constant('limit'),
  memlockPages: mostlyOf(fc.constant(2 ** 40), fc.nat({ max: 1500 })),
  capIpcLock: fc.boolean(),
});

/** A step to be. */
export type Step =
  | (typeof mapSpec extends fc.Arbitrary<infer T> ? T : never)
  | (typeof unmapSpec extends fc.Arbitrary<infer T> ? T : never)
  | (typeof revalidateSpec extends fc.Arbitrary<infer T> ? T : never)
  | (typeof limitSpec extends fc.Arbitrary<infer T> ? T : never);

/** Random steps. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 7, arbitrary: mapSpec },
  { weight: 4, arbitrary: unmapSpec },
  { weight: 2, arbitrary: revalidateSpec },
  { weight: 1, arbitrary: limitSpec },
);

/** An ioctl with its arguments, or a change of the limit. */
export type Ioctl =
  | { readonly op: 'map'; readonly other: boolean; readonly args: Required<VfioIommuType1DmaMap> }
  | { readonly op: 'unmap'; readonly args: Required<Omit<VfioIommuType1DmaUnmap, 'bitmap'>> }
  | { readonly op: 'limit'; readonly memlockPages: number; readonly capIpcLock: boolean };

/** What the arguments of a step are made of. */
export interface Context {
  /** Borders of the regions of the address space, in pages. */
  readonly borders: readonly number[];
  /** Mappings that exist, in address order. */
  readonly dmas: readonly { readonly iovaPn: number; readonly npage: number }[];
  /** Pages of the I/O address space. */
  readonly aperturePages: number;
  /** log2 of the page size in bytes; default that of x86-64. */
  readonly pageShift?: number;
}

const U64 = 2n ** 64n;

/** Pages to bytes. */
function bytesOf({ pageShift = X86_64.pageShift }: Context): (pages: number) => bigint {
  return (pages) => byteAddress(pages, pageShift);
}

/** Makes the ioctl of a step. */
export function ioctlOf(what: Step, context: Context): Ioctl {
  const bytes = bytesOf(context);
  switch (what.op) {
    case 'map':
      return { op: 'map', other: false, args: mapArgs(what, context) };
    case 'unmap':
      return { op: 'unmap', args: unmapArgs(what, context) };
    case 'new vaddr': {
      const dma = context.dmas[what.which % (context.dmas.length || 1)] ?? {
        iovaPn: 256,
        npage: 1,
      };
      const vaddr = context.borders[what.border % context.borders.length];
      const size = bytes(Math.max(1, dma.npage - what.cut));
      const args = {
        argsz: 32,
        flags: VFIO_DMA_MAP_FLAG_VADDR,
        iova: bytes(dma.iovaPn),
        vaddr: bytes(vaddr),
        size,
      };
      return { op: 'map', other: what.other, args };
    }
    case 'limit':
      return { op: 'limit', memlockPages: what.memlockPages, capIpcLock: what.capIpcLock };
  }
}

function mapArgs(what: Step & { op: 'map' }, context: Context): Required<VfioIommuType1DmaMap> {
  const { borders } = context;
  const bytes = bytesOf(context);
  const end = borders[borders.length - 1];
  const vpn = Math.max(0, borders[what.border % (borders.length - 1)] + what.away);
  const npage = lengthOf(what.npage, vpn, borders, end);
  const iovaPn = iovaOf(what.iova, vpn, npage, context);
  const { fault } = what;
  return {
    argsz: fault === 'argsz' ? 31 : 32,
    flags: what.flags,
    iova: bytes(iovaPn) + (fault === 'iova misaligned' ? 512n : 0n),
    vaddr:
      fault === 'vaddr wraps'
        ? U64 - bytes(Math.max(1, npage - 1))
        : bytes(vpn) + (fault === 'vaddr misaligned' ? 1n : 0n),
    size: fault === 'size 0' ? 0n : bytes(npage) + (fault === 'size misaligned' ? 2048n : 0n),
  };
}

function lengthOf(
  spec: number | string,
  vpn: number,
  borders: readonly number[],
  end: number,
): number {
  if (typeof spec === 'number') return spec;
  const behind = borders.filter((border) => border > vpn);
  const ends: Record<string, number | undefined> = {
    'to the next border': behind[0],
    'to the border behind it': behind[1] ?? behind[0],
    'to the end': end,
    'beyond the end': end + 1,
  };
  return Math.max(1, (ends[spec] ?? vpn + 1) - vpn);
}

/** I/O pages: six slots 2 GiB apart, or one of the places where checks look. */
function iovaOf(
  spec: string | Place,
  vpn: number,
  npage: number,
  { dmas, aperturePages, pageShift = X86_64.pageShift }: Context,
): number {
  const gib = 2 ** 18;
  if (typeof spec !== 'string') {
    // Slot 0 lies below the interrupt window, at 4 GiB - 18 MiB.
    return (
      (spec.slot === 0 ? 0 : 4 * gib + spec.slot * 2 * gib) +
      (spec.congruent ? vpn % gib : spec.page)
    );
  }
  const places: Record<string, number> = {
    'same as another': dmas[0]?.iovaPn ?? 5,
    'into the interrupt window': 0xfee00 - npage + 1,
    'up to the interrupt window': 0xfee00 - npage,
    'up to the end': aperturePages - npage,
    'beyond the end': aperturePages - npage + 1,
    wraps: 2 ** (64 - pageShift) - Math.max(1, npage - 1),
  };
  return Math.max(0, places[spec]);
}

function unmapArgs(
  what: Step & { op: 'unmap' },
  context: Context,
): Required<Omit<VfioIommuType1DmaUnmap, 'bitmap'>> {
  const { dmas } = context;
  const bytes = bytesOf(context);
  const at = what.which % (dmas.length || 1);
  const dma = dmas[at] ?? { iovaPn: 256, npage: 1 };
  const later = dmas[Math.min(dmas.length - 1, at + 1)] ?? dma;
  const half = Math.floor(dma.npage / 2);
  const ranges: Record<string, readonly [number, number]> = {
    'a mapping': [dma.iovaPn, dma.npage],
    'from a mapping to a later one': [dma.iovaPn, later.iovaPn + later.npage - dma.iovaPn],
    'around a mapping': [Math.max(0, dma.iovaPn - 1), dma.npage + 2],
    'the first part of a mapping': [dma.iovaPn, Math.max(1, half)],
    'the last part of a mapping': [dma.iovaPn + half, dma.npage - half],
    'the middle of a mapping': [dma.iovaPn + Math.floor(half / 2), Math.max(1, half)],
    'a hole': [dma.iovaPn + dma.npage, 1],
    everything: [0, 0],
    'everything with an iova': [dma.iovaPn, 0],
  };
  const [iovaPn, npage] = ranges[what.how];
  const { fault } = what;
  const all = what.how.startsWith('everything') ? VFIO_DMA_UNMAP_FLAG_ALL : 0;
  return {
    argsz: fault === 'argsz' ? 23 : 24,
    flags: what.flags | all,
    iova:
      fault === 'wraps'
        ? U64 - bytes(Math.max(1, npage - 1))
        : bytes(iovaPn) + (fault === 'iova misaligned' ? 1n : 0n),
    size: fault === 'size 0' ? 0n : bytes(npage) + (fault === 'size misaligned' ? 512n : 0n),
  };
}
