/**
 * Scenarios: the language, the runner, and the machine that a scenario runs on. Knows nothing of the
 * model: a language is made of the ops that a machine has.
 */
export { hex, hexPages } from './hex.ts';
export {
  access,
  addresses,
  bytes,
  extents,
  flag,
  flagBits,
  newRegion,
  number,
  numbers,
  positiveBytes,
  prot,
  region,
  signed,
  text,
  word,
  wordList,
  type ArgumentKind,
} from './language/argument-kinds.ts';
export { needed, optional, type Argument } from './language/argument.ts';
export {
  evaluate,
  parseExpression,
  U64_MAX,
  type Region,
  type Regions,
} from './language/expression.ts';
export type { FrameExtent } from './language/frame-extent.ts';
export { ScenarioLanguage, type AuditLine, type Scenario, type Step } from './language/language.ts';
export {
  joinMachineLines,
  machineLineText,
  readMachineLine,
  type FrameRange,
  type MachineBar,
  type MachineGroup,
  type MachineLine,
  type MachineMemoryModel,
  type MachinePool,
  type ReservedRange,
} from './language/machine-line.ts';
export { operationText } from './language/operation-text.ts';
export { notModelled, op, plain, undescribed, type Entry, type Op } from './language/op-entry.ts';
export { MAX_REPEATED, type Repeated } from './language/repeat.ts';
export { failureOf, failureText, type Failure } from './machine/failure.ts';
export type { AnyOperation } from './machine/any-operation.ts';
export type { Machine } from './machine/machine.ts';
export type {
  ByteData,
  DirtyBitmap,
  DmaUnmapNotification,
  InfoCap,
  IommuInfo,
  IommuRun,
  IommuTable,
  LayoutExtent,
  LeafCounts,
  LockedMemory,
  Observation,
  PfnRun,
  PinCounts,
} from './machine/observation.ts';
export { Runs, type RunKind } from './machine/runs.ts';
export { ShownLayouts, type ChangedExtents, type Extent } from './machine/shown-layouts.ts';
export { ModelFault } from './run/model-fault.ts';
export {
  StepRunner,
  runEachStep,
  runScenario,
  runWhilePossible,
  type DoneStep,
  type RunOptions,
  type ScenarioRun,
} from './run/runner.ts';
export { KnownLayouts, StateTracker, type StepState } from './run/step-state.ts';
