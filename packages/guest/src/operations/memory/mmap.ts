/**
 * `mmap name= kind= size= ...`: a named region of memory.
 *
 * @source recordings README, "Scenario language"
 */
import { InputError, pageNumber } from '@pinfold/base';
import {
  op,
  bytes,
  extents,
  hexPages,
  needed,
  newRegion,
  number,
  optional,
  prot,
  region,
  text,
  word,
  wordList,
} from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import type { FrameExtent } from '@pinfold/scenario';
import { pagesIn, PAGE, smallerThan } from '../smaller.ts';

/** Kinds of memory of `mmap`. */
export type MmapKind =
  | 'anon'
  | 'huge2m'
  | 'huge1g'
  | 'memfd'
  | 'memfd2m'
  | 'memfd1g'
  | 'file'
  | 'bar'
  | 'fsdax'
  | 'devdax';
/** Flags of `mmap`; `filled` writes the file first. */
export type MmapFlag =
  'shared' | 'private' | 'populate' | 'noreserve' | 'locked' | 'fixed' | 'filled';

const mmapKinds = [
  'anon',
  'huge2m',
  'huge1g',
  'memfd',
  'memfd2m',
  'memfd1g',
  'file',
  'bar',
  'fsdax',
  'devdax',
] as const;
const mmapFlags = [
  ...(['shared', 'private', 'populate', 'noreserve'] as const),
  ...(['locked', 'fixed', 'filled'] as const),
] as const;

const NEEDED_BY_KIND: Readonly<Record<string, readonly string[]>> = {
  file: ['path'],
  bar: ['dev', 'bar'],
};

/** Pages of a huge page of 2 MiB. */
const HUGE = 512;

/** The operation. */
export interface MmapOperation {
  /** Its op. */
  readonly op: 'mmap';
  /** Name of the region. */
  readonly name: string;
  /** Kind of memory. */
  readonly kind: MmapKind;
  /** Length in bytes. */
  readonly size: bigint;
  /** Address; without one the next free GiB. */
  readonly addr?: bigint;
  /** Access: any of `r`, `w`, `x`, empty for PROT_NONE; default `rw`. */
  readonly prot: string;
  /** Flags; without `shared` the mapping is private. */
  readonly flags: readonly MmapFlag[];
  /** A madvise right after the mmap. */
  readonly advise?: 'huge' | 'nohuge';
  /** Region whose memfd is mapped again. */
  readonly of?: string;
  /** File to map. */
  readonly path?: string;
  /** Size of the file in bytes; default the size of the region. */
  readonly fsize?: bigint;
  /** Offset in the file in bytes; default 0. */
  readonly off?: bigint;
  /** Device whose BAR is mapped. */
  readonly dev?: string;
  /** Number of the BAR. */
  readonly bar?: number;
  /** Frames of its pages, or of the file's: the memory is there then. Pinfold's own. */
  readonly frames?: readonly FrameExtent[];
  /** Frame of a copy of its first page; copies of the others follow. Pinfold's own. */
  readonly copies?: number;
}

/** The op. */
export const mmap: GuestOp<MmapOperation> = {
  op: 'mmap',
  summary:
    'maps memory under a name. Kinds: anon, huge2m, huge1g, memfd, memfd2m, memfd1g, file, bar, fsdax (a file of a DAX file system), devdax (a device of persistent memory). prot: letters of rwx, or none. flags: shared, private, populate, noreserve, locked, fixed, filled (writes the file first). advise: huge or nohuge, a madvise right after. of: maps the memfd of another region. frames: the memory is there at once, at these frames, in folios of 4 KiB or of an order, PFN[xN][:ORDER] in a comma list. copies: page i is copied to frame copies + i',
  entry: op(
    {
      ...{ name: needed(newRegion), kind: needed(word(...mmapKinds)), size: needed(bytes) },
      ...{ addr: optional(bytes), prot: optional(prot), flags: optional(wordList(...mmapFlags)) },
      ...{ advise: optional(word('huge', 'nohuge')), of: optional(region), path: optional(text) },
      ...{
        fsize: optional(bytes),
        off: optional(bytes),
        dev: optional(text),
        bar: optional(number),
      },
      ...{ frames: optional(extents), copies: optional(number) },
    },
    (values) => ({ op: 'mmap', prot: 'rw', flags: [], ...values }),
    (written, place) => {
      const { kind = '' } = written;
      for (const name of NEEDED_BY_KIND[kind] ?? []) {
        if (written[name] === undefined) {
          throw new InputError(place, `${name}= with kind=${kind}`, `no ${name}=`);
        }
      }
    },
  ),
  runsNoAlgorithm: true,
  smaller: smallerRegions,
  cost: ({ size }) => ({ memory: pagesIn(size) }),
  perform({ process, devices }, operation) {
    const { ret, region } = process.mmap(operation, devices);
    // What a fixed mapping has replaced may have been a BAR.
    if (operation.flags.includes('fixed')) devices.releaseUnheld();
    if (!region) return { code: ret };
    const place = { va: hexPages(region.vpn), size: hexPages(region.npage) };
    const { kind, dev = '', bar = 0, off = 0n } = operation;
    const backing = kind === 'bar' ? devices.barOf(dev, bar) : 0;
    const phys =
      typeof backing === 'number' ? {} : { bar_phys: hexPages(backing.pfn + pageNumber(off)) };
    return { code: ret, ...place, ...phys };
  },
};

/** A region with fewer of its frames: the first, or the last. */
function smallerRegions(operation: MmapOperation): MmapOperation[] {
  const { frames, size, addr = 0n, kind } = operation;
  if (!frames || kind === 'memfd2m') return [];
  const pages = Number(size / PAGE);
  const whole = kind === 'huge2m' ? HUGE : 1;
  const fewer = smallerThan(pages / whole).map((n) => n * whole);
  return fewer.flatMap((npage) => {
    const length = BigInt(npage) * PAGE;
    const first = { ...operation, size: length, frames: part(frames, 0, npage) };
    if (kind === 'file') return [first];
    const last = { addr: addr + size - length, frames: part(frames, pages - npage, npage) };
    return [first, { ...first, ...last }];
  });
}

/** Some of a region's frames. */
function part(frames: readonly FrameExtent[], from: number, npage: number): FrameExtent[] {
  const kept: FrameExtent[] = [];
  let at = 0;
  for (const extent of frames) {
    const start = Math.max(from, at);
    const end = Math.min(from + npage, at + extent.npage);
    if (start < end) kept.push({ ...extent, pfn: extent.pfn + start - at, npage: end - start });
    at += extent.npage;
  }
  return kept;
}
