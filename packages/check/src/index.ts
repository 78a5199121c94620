/** What a machine has to keep true, and the check of pin algorithms with counterexamples. */
export { isRecorded, knownFrom } from './audit/known-quirks.ts';
export {
  GRADES,
  INVARIANTS,
  type CheckViolation,
  type Grade,
  type Invariant,
} from './audit/violation.ts';
export {
  CHECK_BATCH,
  CheckTally,
  DEFAULT_CHECK_KERNEL,
  DEFAULT_CHECK_RUNS,
  checkAlgorithm,
  checkedOf,
  reportOf,
  runBatch,
  smallestFinding,
  type BatchResult,
  type CheckFinding,
  type CheckOptions,
  type CheckReport,
  type CheckWatcher,
  type ClassCount,
  type RawFinding,
  type StopSignal,
} from './check-algorithm.ts';
export { InvariantAudit } from './invariants/invariant-audit.ts';
export type { Violation } from './invariants/violations.ts';
export type { CheckedAlgorithms } from './machines/checked-pair.ts';
export { auditScenario, type SequenceOutcome } from './sequence/run-sequence.ts';
export type { CheckSequence } from './sequence/sequence.ts';
