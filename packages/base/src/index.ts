/**
 * Errno and errors, page arithmetic, operation counters and the containers that every layer of
 * pinfold stands on. Knows nothing of memory management, IOMMUs or VFIO.
 */
export { Errno, errnoName, type ErrnoName } from './errno.ts';
export {
  InputError,
  KernelBug,
  KernelError,
  KernelHang,
  ModelBug,
  UserCodeFault,
  type ErrorDetail,
} from './errors.ts';
export {
  ARM64_16K,
  ARM64_4K,
  ARM64_64K,
  pageGeometries,
  orderName,
  orderOfName,
  pageGeometry,
  X86_64,
  type PageGeometry,
  type PageGeometryFacts,
} from './page-geometry.ts';
export {
  byteAddress,
  formatSize,
  isAligned,
  offsetIn,
  PAGE_SHIFT,
  PAGE_SIZE,
  pageNumber,
  pagesOf,
  parseSize,
  PMD_ORDER,
  PTRS_PER_TABLE,
  PUD_ORDER,
  type IovaPn,
  type Page,
  type Pfn,
  type Vpn,
} from './units.ts';
export {
  COUNTER_DOCS,
  COUNTER_NAMES,
  Counters,
  Slot,
  type CounterName,
  type CounterValues,
} from './counters.ts';
export { Extents, MAX_EXTENT, MIXED } from './extents.ts';
export { maskedRun } from './masked-run.ts';
export { NARROW_END, pageNumbers, type PageNumbers } from './page-numbers.ts';
export { mulberry32, shuffle } from './random.ts';
export { RbNode, RbTree } from './rbtree.ts';
export { SpanTree, type Span } from './span-tree.ts';
export { LEAF, TableArena } from './table-arena.ts';
export {
  TRACED_FUNCTIONS,
  writeArguments,
  writeReturn,
  type TracedFunction,
  type TracedSignature,
  type TracedUnit,
  type WrittenArgument,
} from './traced-functions.ts';
export type { Tracer } from './tracer.ts';
export { WrittenRange } from './written-range.ts';
