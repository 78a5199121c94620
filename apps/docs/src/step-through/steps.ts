/**
 * Steps as rows of numbers: what happened, the state after it, and the counters at that time. A
 * log of them is a few typed arrays, which a worker hands over without a copy.
 */
import { COUNTER_NAMES, TRACED_FUNCTIONS, type TracedFunction } from '@pinfold/base';

/** Names of the traced functions; a row holds an index into them. */
export const FUNCTIONS = Object.keys(TRACED_FUNCTIONS) as readonly TracedFunction[];

/** Index that stands for the ioctl itself, which is no traced function. */
export const IOCTL = -1;

/** What a step is. */
export const Kind = {
  /** A function is entered, and calls others. */
  enter: 0,
  /** It returns. */
  exit: 1,
  /** A function is called and returns without a call of its own. */
  call: 2,
  /** The same, several times in a row with growing arguments. */
  repeat: 3,
  /** No call: the pin loop has taken entries out of the batch, or found that none continues. */
  take: 4,
} as const;

/** The columns of a row: first the event, then the machine after it. */
export const Col = {
  kind: 0,
  fn: 1,
  /** Functions that have been entered and not left, the ioctl included. */
  depth: 2,
  /** Arguments as the tracer hands them over; of a take: pages taken, entries left. */
  a: 3,
  b: 4,
  c: 5,
  d: 6,
  ret: 7,
  /** Of a repeat: calls, and by how much argument and result grow. */
  n: 8,
  step: 9,
  retStep: 10,
  /** 0 during VFIO_IOMMU_MAP_DMA, 1 during VFIO_IOMMU_UNMAP_DMA. */
  phase: 11,
  /** nr_foll_pin_acquired - nr_foll_pin_released: pins held. */
  pins: 12,
  /** mm->locked_vm, in pages. */
  lockedVm: 13,
  /** Index in the mapping of the chunk's first page. */
  chunkStart: 14,
  /** Pages in the chunk. */
  chunkPinned: 15,
  /** The chunk's first page frame; 0: not known yet. */
  pfnBase: 16,
  /** batch->offset and batch->size; {@link batchOf} says which pointers lie in the array. */
  batchOffset: 17,
  batchSize: 18,
  /** Pages that iommu_map has mapped since the beginning. */
  mapped: 19,
  /** Pages that were unmapped since. */
  unmapped: 20,
  /** The run that the unmap has found: index in the mapping of its first page, and length. */
  runStart: 21,
  runPages: 22,
  /** Regions that are unmapped and wait for the IOTLB sync. */
  regions: 23,
  /** Pointers that GUP has stored in the batch's array while batch->size is still 0. */
  stored: 24,
} as const;

/** Numbers of an event and of the machine after it. */
export const STATE_COLUMNS: number = Object.keys(Col).length;
/** Numbers of a row. */
export const ROW: number = STATE_COLUMNS + COUNTER_NAMES.length;

/** A step: a view of its row. */
export class Step {
  /** Its number, from 0. */
  readonly index: number;
  /** The row. */
  readonly row: Float64Array;

  /**
   * @param index its number
   * @param row its row
   */
  constructor(index: number, row: Float64Array) {
    this.index = index;
    this.row = row;
  }

  /**
   * A number of the event or of the machine.
   *
   * @param col its column
   * @returns the number
   */
  at(col: number): number {
    return this.row[col];
  }

  /** The counters, by slot. */
  get counters(): Float64Array {
    return this.row.subarray(STATE_COLUMNS);
  }

  /** The function; null for the ioctl and for what the pin loop does itself. */
  get fn(): TracedFunction | null {
    const index = this.row[Col.fn];
    return index === IOCTL ? null : FUNCTIONS[index];
  }
}

/** The part of the batch's array that holds pointers to pinned pages of no chunk. */
export interface BatchEntries {
  /** Index of the first of them. */
  readonly offset: number;
  /** Their number. */
  readonly entries: number;
}

/**
 * What lies in the batch at a step. GUP stores the pointers; vaddr_get_pfns makes entries of them by
 * setting batch->size when GUP has returned. The drawing and the sentence both have it from here.
 *
 * @param row the step's row
 * @returns the pointers that GUP has just stored, or those that no chunk has taken yet
 */
export function batchOf(row: Float64Array): BatchEntries {
  const stored = row[Col.stored];
  if (stored > 0) return { offset: 0, entries: stored };
  return { offset: row[Col.batchOffset], entries: row[Col.batchSize] };
}

/** Steps of a window: of all steps from a multiple of this number on. */
export const WINDOW = 8192;

/** Rows of steps with ascending numbers, every one of them or a sample. */
export interface StepLog {
  /** Numbers of the steps. */
  readonly indices: Float64Array;
  /** Their rows, {@link ROW} numbers each. */
  readonly rows: Float64Array;
}

/**
 * A step of a log.
 *
 * @param log the log
 * @param i its place in it
 * @returns the step
 */
export function stepOf({ indices, rows }: StepLog, i: number): Step {
  return new Step(indices[i], rows.subarray(i * ROW, (i + 1) * ROW));
}

/**
 * The last step of a log that is not after a number.
 *
 * @param log a log that is not empty
 * @param index number of a step
 * @returns its place in the log; -1 if all are after it
 */
export function placeOf({ indices }: StepLog, index: number): number {
  let low = 0;
  let high = indices.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (indices[middle] <= index) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * The progress at a step: it never decreases, whatever the algorithm, so that two of them can be
 * stopped at the same page.
 *
 * @param row the step's row
 * @param npage length of the mapping in pages
 * @returns pages taken into chunks and pages mapped, together; from the unmap on more than all of
 *   these, by the pages that are unmapped and those that are unpinned
 */
export function progressOf(row: Float64Array, npage: number): number {
  if (row[Col.phase] === 1) return 3 * npage + 1 + row[Col.unmapped] - row[Col.pins];
  return row[Col.mapped] + Math.max(row[Col.mapped], row[Col.chunkStart] + row[Col.chunkPinned]);
}

/**
 * Whether a step is the call of a function, and not its return.
 *
 * @param row the step's row
 * @returns false for returns, for the ioctl and for what the pin loop does itself
 */
export function isCall(row: Float64Array): boolean {
  const kind = row[Col.kind];
  return row[Col.fn] !== IOCTL && kind !== Kind.exit && kind !== Kind.take;
}
