/** What an advice can look at. */
import type { GuestRun } from '@pinfold/guest';
import type { Failure, Observation } from '@pinfold/scenario';
import type { LoggedCall, LoggedMessage } from '../log/entries.ts';
import type { Log } from '../log/read-log.ts';
import type { MappedRanges } from '../scenario/mapped.ts';

/** A call that was replayed. */
export interface AdviceContext {
  /** What was read. */
  readonly log: Log;
  /** The calls of the container. */
  readonly calls: readonly LoggedCall[];
  /** The call. */
  readonly call: LoggedCall;
  /** The mappings before it. */
  readonly mapped: MappedRanges;
  /** The run. */
  readonly run: GuestRun;
  /** Number of the step in it. */
  readonly index: number;
  /** What it showed. */
  readonly observation: Observation;
  /** Which check failed. */
  readonly failure: Failure | undefined;
}

/** Says what to do about a call; an empty list: nothing. */
export type Advice = (context: AdviceContext) => string[];

/** What to say of a message of which the log has no call. */
export interface MessageAdvice {
  /** What the message is about. */
  readonly about: string;
  /** Its errno, if only one is meant. */
  readonly errno?: string;
  /** Whether it is meant; default: always. */
  readonly when?: (message: LoggedMessage, log: Log) => boolean;
  /** Why it came. */
  readonly why: readonly string[];
  /** What to do. */
  readonly action: readonly string[];
}
