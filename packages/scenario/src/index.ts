/**
 * Scenarios and recordings: the scenario language, the machine that runs it, what its steps show,
 * and the comparison with what real kernels did.
 */
export type { Machine } from './machine.ts';
export type {
  DirtyBitmap,
  InfoCap,
  IommuInfo,
  IommuRun,
  IommuTable,
  LayoutExtent,
  Observation,
} from './observation.ts';
export type {
  IommuType,
  MmapFlag,
  MmapKind,
  MmapOperation,
  Operation,
  TouchOperation,
} from './operation.ts';
