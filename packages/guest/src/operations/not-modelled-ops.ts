/**
 * Ops that recordings have and the model has not: they are read, and refused when they are to be
 * done.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, needed, notModelled, number, optional, type Entry } from '@pinfold/scenario';

/** An op that is read only. */
export interface NotModelledOp {
  /** What it does. */
  readonly summary: string;
  /** How a line of it is written. */
  readonly entry: Entry<never>;
}

/** All of them, by name. */
export const notModelledOps: ReadonlyMap<string, NotModelledOp> = new Map(
  Object.entries({
    bench: {
      summary: 'maps and unmaps again and again, and measures the time',
      entry: notModelled({
        ...{ va: needed(bytes), iova: needed(bytes), size: needed(bytes) },
        ...{ reps: optional(number), warm: optional(number) },
      }),
    },
  }),
);
