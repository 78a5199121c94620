/** The clock of a program that runs on the model: predicted time in place of the model's own. */
import { predictCall, profile, type Profile } from '@pinfold/bench';
import type { TimedCall } from '@pinfold/exec';

/** What a kind of call comes to. */
export interface PredictedTotal {
  /** Calls. */
  calls: number;
  /** Predicted seconds in all. */
  seconds: number;
  /** Lower end of the 90 % interval of the sum. */
  low: number;
  /** Upper end. */
  high: number;
}

const NS = 1e9;

/** Predicts the calls of a program. */
export class PredictedClock {
  /** The profile that predicts. */
  readonly profile: Profile;
  /** What maps and unmaps come to. */
  readonly totals: Readonly<Record<TimedCall['op'], PredictedTotal>> = {
    map: { calls: 0, seconds: 0, low: 0, high: 0 },
    unmap: { calls: 0, seconds: 0, low: 0, high: 0 },
  };
  readonly #kernel: string;

  /**
   * @param name name of the profile
   * @param kernel name of the kernel
   * @throws {InputError} when there is no such profile
   */
  constructor(name: string, kernel: string) {
    this.profile = profile(name);
    this.#kernel = kernel;
  }

  /**
   * Predicts a call. The intervals are added, because what is wrong with a profile is wrong with all
   * calls alike.
   *
   * @param call the call
   * @returns nanoseconds
   */
  ns({ op, counters, memory }: TimedCall): number {
    const { seconds, low, high } = predictCall(this.profile, {
      counters,
      memory,
      kernel: this.#kernel,
    });
    const total = this.totals[op];
    total.calls += 1;
    total.seconds += seconds;
    total.low += low;
    total.high += high;
    return seconds * NS;
  }
}
