/**
 * Workloads, measurement and reports on the VFIO type1 model. Browser-safe: the clock and the
 * memory limit are handed in, reports are strings.
 */
export { backing, backings, checkWholePages, type Backing } from './backings.ts';
export {
  layoutName,
  layoutNames,
  layoutOf,
  layouts,
  type Layout,
  type LayoutName,
  type LayoutTag,
  type Placement,
} from './layouts.ts';
export { checkFits, checkLargest, footprint } from './footprint.ts';
export { MemDmaMap, type MemDmaMapOptions } from './workloads/mem-dma-map.ts';
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
export {
  benchMemDmaMap,
  checkSize,
  type BenchHost,
  type BenchReport,
  type BenchRow,
  type BenchSpec,
} from './bench.ts';
export { publishedFigure, publishedFigures, type PublishedQuery } from './published/index.ts';
export type { PublishedFigure, PublishedSource } from './published/published-figure.ts';
export { reportJson, reportText } from './report.ts';
