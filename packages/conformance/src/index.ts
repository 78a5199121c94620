/** Recordings of what real kernels did, and the comparison of a machine with them, level by level. */
export {
  END_OF_PROCESS,
  verifyRecording,
  type RecordedMachine,
  type RecordedMachineFactory,
  type RecordedMachineOptions,
  type RecordingResult,
  type StepResult,
  type Verdict,
} from './conformance.ts';
export type { Difference } from './levels/differences.ts';
export { levels } from './levels/index.ts';
export type { ComparedStep, Exclusion, Level } from './levels/level.ts';
export { modelMachineForPass } from './machine/model-machine-for-pass.ts';
export { familyOf, familySummary } from './recording/family.ts';
export { checkKernel, parseRecording, recordedScenario } from './recording/parse-recording.ts';
export { readRecording, type ByteReader } from './recording/read-recording.ts';
export { factsOfRecording } from './recording/recorded-facts.ts';
export {
  RECORDING_FORMAT,
  type RecordedBench,
  type RecordedGuest,
  type RecordedPass,
  type RecordedStep,
  type Recording,
  type StartState,
} from './recording/recording.ts';
export { walkPass } from './recording/walk-pass.ts';
export {
  summarize,
  type FailedRecording,
  type Summary,
  type SummaryRow,
  type VerdictCounts,
} from './summary.ts';
