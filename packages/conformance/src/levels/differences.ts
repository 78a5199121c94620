/** Differences between what a kernel showed and what the model shows, value by value. */

/** A value that is not as recorded. */
export interface Difference {
  /** The field: `pins.acquired`, `info.caps[1].avail`. */
  readonly path: string;
  /** What the kernel showed; undefined: nothing. */
  readonly recorded: unknown;
  /** What the model shows; undefined: nothing. */
  readonly model: unknown;
}

/** Differences of one step that are kept; more say nothing new. */
export const MAX_DIFFERENCES = 20;

/**
 * Compares two JSON values, member by member.
 *
 * @param path name of the value
 * @param recorded what the kernel showed
 * @param model what the model shows
 * @returns the members that differ; none if the values are equal
 */
export function diff(path: string, recorded: unknown, model: unknown): Difference[] {
  if (recorded === model) return [];
  if (!isObject(recorded) || !isObject(model)) return [{ path, recorded, model }];
  if (Array.isArray(recorded) !== Array.isArray(model)) return [{ path, recorded, model }];
  const inArray = Array.isArray(recorded);
  const keys = new Set([...Object.keys(recorded), ...Object.keys(model)]);
  return [...keys].flatMap((key) =>
    diff(inArray ? `${path}[${key}]` : `${path}.${key}`, recorded[key], model[key]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
