/** The model as a machine that scenarios run on, the operations that it has, and why a step failed. */
export {
  explainFailures,
  explainRun,
  explainScenario,
  explainWhilePossible,
  type Explanation,
} from './explain/explain.ts';
export type { Done } from './machine/guest.ts';
export { parseHost } from './host/host-file.ts';
export { reservedRegions, usableRanges, type ReservedRegions } from './host/reserved-regions.ts';
export { factsOfLine } from './machine/facts-of-line.ts';
export { assumedMachine, type AssumedMachine } from './machine/assumed-machine.ts';
export {
  DEFAULT_MACHINE,
  GUEST_IOMMU,
  guestDevices,
  guestGeometry,
  guestIommu,
  guestMemory,
  unitsOf,
  type BarDescription,
  type DeviceDescription,
  type IommuDescription,
  type MachineDescription,
} from './machine/machine-description.ts';
export { buddyAllocator } from './machine/machine-memory.ts';
export { iommusOf, type Inspectable, type MachineView } from './machine/machine-view.ts';
export { ModelMachine, type ModelMachineOptions } from './machine/model-machine.ts';
export type { GuestRun, GuestScenario, GuestStep } from './operations/guest-scenario.ts';
export type { IommuType } from './operations/container/open.ts';
export type { Operation } from './operations/index.ts';
export type { MmapFlag, MmapKind, MmapOperation } from './operations/memory/mmap.ts';
export { smallerThan } from './operations/smaller.ts';
export type { TouchOperation } from './operations/memory/touch.ts';
export { guestOps, newRegionOf, operationText, parseScenario } from './operations/index.ts';
export type { GuestOp, OperationCost } from './operations/guest-op.ts';
export { scenarioOps, type ScenarioOp } from './operations/index.ts';
export { RegionAddresses } from './process/addresses.ts';
export {
  CallRecorder,
  replayCalls,
  type StepCalls,
  type TracedCall,
} from './trace/call-recorder.ts';
export { ShownTable, type ChangedRuns } from './shown/iommu-table.ts';
export { countedFunctions } from './shown/kernel-calls.ts';
export { functionGraph } from './trace/function-graph.ts';
export {
  ALL_PROBES,
  MORE_LINES,
  BUILDS,
  type Build,
  ProbeLines,
  type Probe,
  type Probes,
} from './trace/probe-lines.ts';
export { ProbedMachine } from './trace/probed-machine.ts';
export {
  traceEventFile,
  type TraceEvent,
  type TraceFile,
  type TracedStep,
} from './trace/trace-events.ts';
