/**
 * The operations of the scenario language with their arguments evaluated: what a machine is asked
 * to do. Addresses and byte sizes are unsigned 64-bit `bigint`s, exactly those of the line.
 *
 * @source recordings README, "Scenario language"
 */
import type { FrameExtent } from '@pinfold/scenario';
import type { ExternalOperation } from './external-operations.ts';
import type { GuestOperation } from './index.ts';
import type { StepFault } from '../machine/step-faults.ts';

/** IOMMU type of `open`: type1, type1 v2, or the nesting type. */
export type IommuType = 'v1' | 'v2' | 'nesting';
/** Kinds of memory of `mmap`. */
export type MmapKind =
  'anon' | 'huge2m' | 'huge1g' | 'memfd' | 'memfd2m' | 'memfd1g' | 'file' | 'bar';
/** Flags of `mmap`; `filled` writes the file first. */
export type MmapFlag =
  'shared' | 'private' | 'populate' | 'noreserve' | 'locked' | 'fixed' | 'filled';

/** `mmap`: a named region of memory. */
export interface MmapOperation {
  /** The operation. */
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

/** `fail`: a call of the next step fails. Pinfold's own. */
export interface FailOperation extends StepFault {
  /** The operation. */
  readonly op: 'fail';
}

/** `touch`: one access per stride. */
export interface TouchOperation {
  /** The operation. */
  readonly op: 'touch';
  /** First address. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Read or write; default write. */
  readonly mode: 'r' | 'w';
  /** Bytes between accesses; default one page. */
  readonly stride: bigint;
  /** Pages of the range to access instead of all. */
  readonly pages?: readonly number[];
  /** Order: ascending, `rev`ersed or `rand`om. */
  readonly order?: 'rev' | 'rand';
  /** Seed of the random order. */
  readonly seed?: number;
}

/** One step of a scenario, ready to be done. */
export type Operation =
  | ExternalOperation
  | GuestOperation
  | { readonly op: 'open'; readonly type: IommuType; readonly dev: string }
  | { readonly op: 'opencontainer' }
  | { readonly op: 'close' }
  | { readonly op: 'info' }
  | { readonly op: 'setiommu'; readonly type: number }
  | { readonly op: 'addgroup' | 'delgroup' | 'device'; readonly dev: string }
  | { readonly op: 'pcicmd'; readonly dev: string; readonly val: number }
  | FailOperation
  | MmapOperation
  | TouchOperation
  | {
      readonly op: 'map';
      readonly iova: bigint;
      readonly va: bigint;
      readonly size: bigint;
      /** VFIO_DMA_MAP_FLAG_*. */
      readonly flags: number;
      /** Bytes of the structure. */
      readonly argsz: number;
      /** Who calls, if not the process: a child that ends right after. Pinfold's own. */
      readonly from?: 'child';
    }
  | {
      readonly op: 'unmap';
      readonly iova: bigint;
      readonly size: bigint;
      /** VFIO_DMA_UNMAP_FLAG_*. */
      readonly flags: number;
      /** Bytes of the structure. */
      readonly argsz: number;
      /** Page size of one bit of the bitmap, in bytes. */
      readonly pgsize?: bigint;
      /** Size of the bitmap in bytes. */
      readonly bmsize?: bigint;
      /** Bytes of memory that there are for the bitmap, if not all. Pinfold's own. */
      readonly bmmem?: bigint;
    }
  | {
      readonly op: 'dirty';
      /** VFIO_IOMMU_DIRTY_PAGES_FLAG_*: 1 start, 2 stop, 4 get. */
      readonly flags: number;
      readonly iova: bigint;
      readonly size: bigint;
      readonly pgsize: bigint;
      readonly bmsize: bigint;
      /** Bytes of memory that there are for the bitmap, if not all. Pinfold's own. */
      readonly bmmem?: bigint;
      readonly argsz: number;
    };

/**
 * The region that an operation makes.
 *
 * @param operation the operation
 * @returns its name; undefined if it makes none
 */
export function newRegionOf(operation: Operation): string | undefined {
  return operation.op === 'mmap' || operation.op === 'mremap' ? operation.name : undefined;
}
