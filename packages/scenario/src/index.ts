/**
 * Scenarios and recordings: the scenario language, the machine that runs it, what its steps show,
 * and the comparison with what real kernels did.
 */
export { RegionAddresses } from './addresses.ts';
export {
  CHECK_BATCH,
  checkAlgorithm,
  checkedOf,
  CheckTally,
  DEFAULT_CHECK_KERNEL,
  DEFAULT_CHECK_RUNS,
  reportOf,
  runBatch,
  smallestFinding,
} from './check/check-algorithm.ts';
export { isRecorded, knownFrom } from './check/known-quirks.ts';
export { auditScenario, type SequenceOutcome } from './check/run-sequence.ts';
export { INVARIANTS, type CheckViolation, type Invariant } from './check/violation.ts';
export { END_OF_PROCESS, verifyRecording } from './conformance.ts';
export { familyOf, familySummary } from './family.ts';
export { InvariantAudit } from './invariants/invariant-audit.ts';
export { parseScenario } from './ops.ts';
export { levels } from './levels/index.ts';
export { DEFAULT_FACTS, factsOfLine, guestMemory } from './machine-facts.ts';
export type { MachineLine } from './machine-line.ts';
export { modelMachineForPass } from './model-machine-for-pass.ts';
export { ModelMachine } from './model-machine.ts';
export { checkKernel, parseRecording, recordedScenario } from './parse-recording.ts';
export { readRecording } from './read-recording.ts';
export { RECORDING_FORMAT } from './recording.ts';
export { ModelFault } from './model-fault.ts';
export { runScenario, runWhilePossible, StepRunner } from './runner.ts';
export { scenarioOps, type ScenarioOp } from './scenario-ops.ts';
export { factsOfRecording } from './recorded-facts.ts';
export { StateTracker } from './step-state.ts';
export { walkPass } from './walk-pass.ts';
export { summarize } from './summary.ts';
export { CallRecorder, replayCalls } from './trace/call-recorder.ts';
export { functionGraph } from './trace/function-graph.ts';
export { ALL_PROBES, ProbeLines } from './trace/probe-lines.ts';
export { traceEventFile } from './trace/trace-events.ts';

export type {
  BatchResult,
  CheckFinding,
  CheckOptions,
  CheckReport,
  CheckWatcher,
  StopSignal,
  RawFinding,
} from './check/check-algorithm.ts';
export type { CheckedAlgorithms } from './check/checked-pair.ts';
export type { CheckSequence } from './check/sequence.ts';
export type {
  RecordedMachine,
  RecordedMachineFactory,
  RecordedMachineOptions,
  RecordingResult,
  StepResult,
  Verdict,
} from './conformance.ts';
export type { Difference } from './differences.ts';
export type { GuestRun, GuestScenario, GuestStep } from './guest-scenario.ts';
export type { Region, Regions } from './expression.ts';
export type { Scenario, Step } from './language.ts';
export type { ComparedStep, Exclusion, Level } from './levels/level.ts';
export type { BarFacts, MachineFacts } from './machine-facts.ts';
export {
  explainFailures,
  explainRun,
  explainScenario,
  explainWhilePossible,
  type Explanation,
} from './explain/explain.ts';
export { failureText, type Failure } from './failure.ts';
export type { Inspectable, MachineView } from './machine-view.ts';
export type { Machine } from './machine.ts';
export type { ModelMachineOptions } from './model-machine.ts';
export type {
  DirtyBitmap,
  InfoCap,
  IommuInfo,
  IommuRun,
  IommuTable,
  LayoutExtent,
  LeafCounts,
  LockedMemory,
  Observation,
  PinCounts,
} from './observation.ts';
export type {
  IommuType,
  MmapFlag,
  MmapKind,
  MmapOperation,
  Operation,
  TouchOperation,
} from './operation.ts';
export type { Violation } from './invariants/violations.ts';
export type { ByteReader } from './read-recording.ts';
export type {
  RecordedBench,
  RecordedGuest,
  RecordedPass,
  RecordedStep,
  Recording,
  StartState,
} from './recording.ts';
export type { DoneStep, RunOptions, ScenarioRun } from './runner.ts';
export type { StepState } from './step-state.ts';
export type { FailedRecording, Summary, SummaryRow, VerdictCounts } from './summary.ts';
export type { StepCalls, TracedCall } from './trace/call-recorder.ts';
export type { Probe, Probes } from './trace/probe-lines.ts';
export type { TraceEvent, TracedStep, TraceFile } from './trace/trace-events.ts';
