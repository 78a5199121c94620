/** Small machines for the tests: memory, address spaces and what is mapped in them. */
import { ARM64_16K, ARM64_64K, X86_64, type PageGeometry } from '@pinfold/base';
import { MemMap, type MemoryModel } from '../src/memmap.ts';
import type { MemoryRange } from '../src/sections.ts';
import { Memory } from '../src/memory.ts';
import { mmapMemory, type MemoryKind, type Prot } from '../src/mmap.ts';
import { MmStruct } from '../src/mm-struct.ts';
import { PrescribedLayout } from '../src/frame-source.ts';
import { LATEST_MM_RULES, type MmRules } from '../src/rules.ts';

/** Rules by how a range unpin gets from page to page. */
export const RULES: Readonly<Record<'nth_page' | 'page + i', MmRules>> = {
  nth_page: {
    ...LATEST_MM_RULES,
    rangeUnpinStep: 'nth_page',
    deviceHugeObeysThp: true,
    collapseNeedsWritable: true,
    faultAround: 'window',
    mremapMovesSeveral: false,
  },
  'page + i': { ...LATEST_MM_RULES, deviceHugeObeysThp: true },
};

/** Both memory models, to run a test with each. */
export const MODELS: readonly MemoryModel[] = ['sparsemem-vmemmap', 'sparsemem'];

/** Page sizes and page-table geometries, to run a property with each. */
export const GEOMETRIES: readonly PageGeometry[] = [X86_64, ARM64_16K, ARM64_64K];

/** Runs of a property on a machine: all on x86-64, a third of them on others. */
export function runsOn(geometry: PageGeometry, runs: number): number {
  return geometry === X86_64 ? runs : Math.ceil(runs / 3);
}

/** Pages of a section of x86-64, 128 MiB. */
export const SECTION: number = X86_64.sectionPages;

/** What a test machine is made of. */
export interface Boot {
  /** Its memory; default: sections 1 to 8. */
  readonly ranges?: readonly MemoryRange[];
  /** Memory model; default vmemmap. */
  readonly model?: MemoryModel;
  /** Permutation of the memmaps under classic sparsemem. */
  readonly seed?: number;
  /** Release whose mm rules hold; default 6.16. */
  readonly step?: 'nth_page' | 'page + i';
}

/** Sections 1 to 8: 1 GiB of memory that does not contain pfn 0. */
const EIGHT_SECTIONS: readonly MemoryRange[] = [{ pfn: SECTION, npage: 8 * SECTION }];

/** A machine's memory. */
export function boot({
  ranges = EIGHT_SECTIONS,
  model,
  seed,
  step = 'nth_page',
}: Boot = {}): Memory {
  return new Memory(new MemMap(ranges, model, seed), RULES[step]);
}

/** One run of memory to map. */
export interface Run {
  /** First virtual page. */
  readonly vpn: number;
  /** First page frame. */
  readonly pfn: number;
  /** Length in pages. */
  readonly npage: number;
  /** Folio order; default 0. */
  readonly order?: number;
  /** Kind of memory; default anonymous. */
  readonly kind?: MemoryKind;
  /** Access; default read and write. */
  readonly prot?: Prot;
}

/** Maps one run as a VMA of its own. */
export function mapRun(mm: MmStruct, run: Run): void {
  const { vpn, pfn, npage, order = 0, kind = 'anon', prot } = run;
  const frames = new PrescribedLayout([{ vpn, pfn, npage, order }]);
  mmapMemory(mm, { vpn, npage, kind, order, frames, ...(prot && { prot }) });
}

/** An address space with runs mapped, on a machine of its own. */
export function spaceWith(runs: readonly Run[], machine: Boot = {}): MmStruct {
  const mm = new MmStruct(boot(machine));
  for (const run of runs) mapRun(mm, run);
  return mm;
}

/** Counts of the folio of a page, as the kernel keeps them on its head. */
export function folioOf(
  memmap: MemMap,
  pfn: number,
): { order: number; refcount: number; pincount: number } {
  const head = memmap.headEntryOf(pfn);
  return {
    order: memmap.order[head],
    refcount: memmap.refcount[head],
    pincount: memmap.pincount[head],
  };
}
