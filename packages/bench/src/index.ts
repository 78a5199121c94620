/**
 * Workloads, measurement and reports on the VFIO type1 model. Browser-safe: the clock and the
 * memory limit are handed in, reports are strings.
 */
export { backing, backings, backingsFor, checkWholePages, type Backing } from './backings.ts';
export {
  layout,
  layoutName,
  layoutNames,
  layoutOf,
  layouts,
  type Layout,
  type LayoutName,
  type LayoutTag,
  type Placement,
} from './layouts.ts';
export {
  DEFAULT_LAYOUTS,
  memoriesOf,
  type Memory,
  type MemoryChoice,
  type MemoryPlaces,
} from './memories.ts';
export { checkFits, checkLargest, footprint } from './footprint.ts';
/** Kinds of IOMMU that a workload can have. */
export { iommuKind, iommuKinds } from '@pinfold/iommu';
export { DEFAULT_IOMMU, MemDmaMap, type MemDmaMapOptions } from './workloads/mem-dma-map.ts';
export {
  measure,
  ops,
  type Clock,
  type Measurement,
  type MeasureOptions,
  type Op,
  type OpMeasurement,
  type Workload,
} from './measure.ts';
export { contender, ownContender, type Contender } from './contender.ts';
export type { BenchCase, BenchHost, MeasuredRow } from './rows.ts';
export {
  benchMemDmaMap,
  checkSize,
  type BenchReport,
  type BenchRow,
  type BenchSpec,
} from './bench.ts';
export {
  checkCompare,
  compareAlgorithms,
  DEFAULT_ALGORITHMS,
  DEFAULT_BASE,
  defaultAlgorithms,
  type ComparedAlgorithm,
  type CompareReport,
  type UncountedWork,
  type CompareSpec,
} from './compare.ts';
export type { PatchChange, PatchedOperation } from './patches.ts';
export type { Change, CompareRow, OperationChange, SmallFolioChange } from './changes.ts';
export { operations, totalOperations, type OperationName } from './operations.ts';
export { publishedFigure, publishedFigures, type PublishedQuery } from './published/index.ts';
export type { PublishedFigure, PublishedSource } from './published/published-figure.ts';
export { reportJson, reportText } from './report.ts';
export { compareText } from './compare-report.ts';
export { markdownStyle, textStyle, type Note, type Style } from './style.ts';
export { formatCount, tableText, tableWidth, type Column } from './table.ts';
export {
  calibrate,
  MICRO,
  OWN,
  profile,
  profileNames,
  UNCALIBRATED,
  type Calibration,
  type CalibrationSpec,
  type Profile,
} from './cost/calibration.ts';
export {
  calibrationText,
  percentText,
  predictedRows,
  secondsText,
  type PredictedRow,
} from './cost/calibration-report.ts';
export { costParts, type MachineRates } from './cost/classes.ts';
export { predictCall, type CountedCall } from './cost/predict-call.ts';
export {
  adviceFor,
  estimateVm,
  type EstimatedHost,
  type EstimatedVm,
  type VmEstimate,
} from './cost/estimate.ts';
export {
  adviceText,
  costsText,
  estimateText,
  intervalText,
  limitNotes,
  type EstimateReport,
} from './cost/estimate-report.ts';
export { parseHistogram } from './cost/histogram.ts';
export { parseHostFile, type HostFile } from './cost/host-file.ts';
export { parseProfile, profileJson } from './cost/profile-file.ts';
export { parseMeasurements } from './published/own-rows.ts';
export type { PublishedRecord } from './published/record.ts';
export { unitTestText } from './unit-test-report.ts';
export { calibrationHtml, estimateHtml, type PlotLibraries } from './cost/html-page.ts';
export {
  instructionKernels,
  instructionProfile,
  type InstructionProfile,
} from './cost/instructions.ts';
export { instructionText } from './cost/instruction-report.ts';
