/** What the page "Break it" asks its worker for, and what it gets back. */
import type { CheckFinding, CheckReport } from '@pinfold/check';
import type { Reach } from './reach.ts';

/** A check. */
export interface CheckRequest {
  /** Name of the pin algorithm. */
  readonly algorithm: string;
  /** Release series that sets the rules. */
  readonly kernel: string;
  /** Sequences at most. */
  readonly runs: number;
  readonly seed: number;
  /** Whether to go on when something was found. */
  readonly all: boolean;
}

/** A finding, and what a device reaches because of it. */
export interface ShownFinding extends CheckFinding {
  /** What the invariant says. */
  readonly rule: string;
  /** Null if the kernel crashes. */
  readonly reach: Reach | null;
}

/** What a check has found, that which is most telling first. */
export interface CheckResult extends Omit<CheckReport, 'findings'> {
  readonly findings: readonly ShownFinding[];
}
