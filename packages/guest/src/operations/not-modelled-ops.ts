/**
 * Ops that recordings have and the model has not: they are read, and refused when they are to be
 * done.
 *
 * @source recordings README, "Scenario language"
 */
import {
  bytes,
  number,
  needed,
  optional,
  notModelled,
  undescribed,
  type Entry,
} from '@pinfold/scenario';

/** The entries, by name. */
export const notModelledEntries: Readonly<Record<string, Entry<never>>> = {
  bench: notModelled({
    ...{ va: needed(bytes), iova: needed(bytes), size: needed(bytes) },
    ...{ reps: optional(number), warm: optional(number) },
  }),
  iofd: undescribed(),
  ioas_map: undescribed(),
  ioas_map_file: undescribed(),
  ioas_unmap: undescribed(),
};
