/** The memory layouts that tell right pin algorithms from wrong ones: reference strategies.md, table 2. */
import type { Pfn, Vpn } from '@pinfold/base';
import {
  doMmap,
  dupMmap,
  exitMmap,
  HugetlbMemory,
  MappedFile,
  mmapMemory,
  MmStruct,
  PrescribedLayout,
  touchPage,
  VM,
  type FrameSource,
  type LayoutRun,
  type MemoryKind,
} from '@pinfold/mm';
import { BAR, Guest, PFN, SECTION, VPN } from './guest.ts';

/** What a mapping is made of, and what a device must reach through it. */
export interface Laid {
  /** First virtual page that is mapped. */
  readonly vpn: Vpn;
  /** The frame of every page. */
  readonly pfns: readonly Pfn[];
  /** Pages of them that are device memory, at the end; default none. */
  readonly devicePages?: number;
}

/** First frames of two huge pages that are not adjacent. */
export const P: Pfn = PFN;
export const Q: Pfn = PFN + 2048;

/** Consecutive frames. */
export function frames(pfn: Pfn, npage: number): Pfn[] {
  return Array.from({ length: npage }, (_, i) => pfn + i);
}

/** Maps runs of frames as one VMA that begins at VPN. */
export function mmapRuns(
  guest: Guest,
  kind: MemoryKind,
  order: number,
  runs: readonly (readonly [Pfn, number])[],
): Pfn[] {
  const layout: LayoutRun[] = [];
  let vpn = VPN;
  for (const [pfn, npage] of runs) {
    layout.push({ vpn, pfn, npage, order });
    vpn += npage;
  }
  const prescribed = new PrescribedLayout(layout);
  mmapMemory(guest.mm, { vpn: VPN, npage: vpn - VPN, kind, order, frames: prescribed });
  return runs.flatMap(([pfn, npage]) => frames(pfn, npage));
}

/** Two 2 MiB hugetlb pages, not adjacent; mapped from the middle of one to the middle of the other. */
export function unalignedHugetlb(guest: Guest): Laid {
  const pfns = mmapRuns(guest, 'hugetlb', 9, [
    [P, 512],
    [Q, 512],
  ]);
  return { vpn: VPN + 256, pfns: pfns.slice(256, 768) };
}

/** The last page of a 2 MiB hugetlb page, and the page of the next VMA. */
export function hugetlbThenAnon(guest: Guest): Laid {
  mmapRuns(guest, 'hugetlb', 9, [[P, 512]]);
  guest.mmapFrames(VPN + 512, [Q]);
  return { vpn: VPN + 511, pfns: [P + 511, Q] };
}

/** As {@link unalignedHugetlb}, but the second huge page to its end. */
export function unalignedToEnd(guest: Guest): Laid {
  const pfns = mmapRuns(guest, 'hugetlb', 9, [
    [P, 512],
    [Q, 512],
  ]);
  return { vpn: VPN + 256, pfns: pfns.slice(256) };
}

/** Two 64 KiB hugetlb pages of arm64, not adjacent: GUP sees their contiguous entries as PTEs. */
export function smallHugetlb(guest: Guest): Laid {
  const pfns = mmapRuns(guest, 'hugetlb', 4, [
    [P, 16],
    [Q, 16],
  ]);
  return { vpn: VPN, pfns };
}

/** A folio of four pages of which one has been copied: what fork, a write and the child's exit leave. */
export function cowedFolio(guest: Guest): Laid {
  mmapMemory(guest.mm, {
    vpn: VPN,
    npage: 4,
    kind: 'anon',
    order: 2,
    frames: new PrescribedLayout([
      { vpn: VPN, pfn: P, npage: 1, order: 2 },
      { vpn: VPN + 1, pfn: Q, npage: 1, order: 0 },
      { vpn: VPN + 2, pfn: P + 2, npage: 2, order: 2 },
    ]),
  });
  return { vpn: VPN, pfns: [P, Q, P + 2, P + 3] };
}

/** A folio of four pages, its first and its last page in adjacent VMAs. */
export function slicedFolio(guest: Guest): Laid {
  const slices = [
    { vpn: VPN, pfn: P, npage: 1, order: 2 },
    { vpn: VPN + 1, pfn: P + 3, npage: 1, order: 2 },
  ];
  for (const slice of slices) {
    mmapMemory(guest.mm, { ...slice, kind: 'anon', frames: new PrescribedLayout([slice]) });
  }
  return { vpn: VPN, pfns: [P, P + 3] };
}

/** Hands out naturally aligned frames one after the other, from P on. */
function consecutiveFrames(): FrameSource {
  let next = P;
  return {
    framesFor(_vpn, _npage, order, out) {
      out.order = order;
      out.npage = 2 ** order;
      out.pfn = Math.ceil(next / out.npage) * out.npage;
      next = out.pfn + out.npage;
    },
  };
}

const PRIVATE_RW = VM.READ | VM.WRITE;

/**
 * What the process's own page table says.
 *
 * @param guest the process
 * @param vpn first virtual page
 * @param npage number of pages
 * @returns the frame of every page
 */
export function framesAt(guest: Guest, vpn: Vpn, npage: number): Pfn[] {
  return Array.from({ length: npage }, (_, i) => guest.mm.pageTable.pfnAt(vpn + i));
}

/** Three private hugetlb pages; a fork, a write to the second one, and the child's exit. */
function cowedHugetlb(guest: Guest, vpn: Vpn): Laid {
  guest.memory.frames = consecutiveFrames();
  doMmap(guest.mm, { vpn: VPN, npage: 1536, flags: PRIVATE_RW, ops: new HugetlbMemory(9) });
  for (let at = VPN; at < VPN + 1536; at += 512) touchPage(guest.mm, at, true);
  const child = new MmStruct(guest.memory);
  dupMmap(guest.mm, child);
  touchPage(guest.mm, VPN + 512, true);
  exitMmap(child);
  return { vpn, pfns: framesAt(guest, vpn, 1024) };
}

/** Mapped so that every batch is one huge page. */
export function cowedHugetlbAligned(guest: Guest): Laid {
  return cowedHugetlb(guest, VPN);
}

/** Mapped so that the copied page begins inside a batch. */
export function cowedHugetlbInBatch(guest: Guest): Laid {
  return cowedHugetlb(guest, VPN + 256);
}

/**
 * A private mapping, at VPN, of a file whose cache has one folio of 16 pages; all are read, the second
 * one is written.
 *
 * @param guest the process
 * @returns the frames of the cache
 */
export function privateFile(guest: Guest): Pfn[] {
  guest.memory.frames = consecutiveFrames();
  const file = new MappedFile('disk', 16);
  doMmap(guest.mm, { vpn: VPN, npage: 16, flags: PRIVATE_RW, ops: file });
  const vma = guest.mm.vmas.lookup(VPN);
  if (vma) file.fill(guest.mm, vma);
  for (let at = VPN; at < VPN + 16; at++) touchPage(guest.mm, at, at === VPN + 1);
  return frames(P, 16);
}

/** A 2 MiB hugetlb page and device memory in one mapping. */
export function ramAndBar(guest: Guest): Laid {
  const pfns = mmapRuns(guest, 'hugetlb', 9, [[P, 512]]);
  guest.mmapBar({ vpn: VPN + 512, npage: 8 });
  return { vpn: VPN, pfns: [...pfns, ...frames(BAR, 8)], devicePages: 8 };
}

/** Section without memory in {@link WITH_HOLE}. */
const HOLE = 3;

/** Memory with a hole of a section. */
export const WITH_HOLE = [
  { pfn: SECTION, npage: (HOLE - 1) * SECTION },
  { pfn: (HOLE + 1) * SECTION, npage: 12 * SECTION },
] as const;

/**
 * Under classic sparsemem, the last pages before the hole and the first of a section behind it mapped
 * one after the other: a section whose memory map follows that of the section before the hole, so
 * that the pointers go on where the frames do not.
 *
 * @param make makes a machine with this memory whose memory maps are placed by a seed
 * @returns the machine, and the mapping
 */
export function memmapHole(make: (seed: number) => Guest): { guest: Guest; laid: Laid } {
  const before = HOLE * SECTION - 10;
  for (let seed = 0; seed < 1000; seed++) {
    const guest = make(seed);
    const { memmap } = guest.memory;
    for (let after = (HOLE + 1) * SECTION; after < (HOLE + 13) * SECTION; after += SECTION) {
      if (memmap.pfnToPage(after) !== memmap.pfnToPage(before) + 10) continue;
      const pfns = [...frames(before, 10), ...frames(after, 10)];
      guest.mmapFrames(VPN, pfns);
      return { guest, laid: { vpn: VPN, pfns } };
    }
  }
  throw new Error('no seed places the memory maps so');
}
