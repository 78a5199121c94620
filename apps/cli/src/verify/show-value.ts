/** Values of a difference as text. */

/** Characters of a value that are shown at most; `--json` has all. */
const MAX_SHOWN = 300;

/**
 * A value as a table or a message shows it.
 *
 * @param value a JSON value, or undefined
 * @returns words as they are, `nothing` for undefined, anything else as JSON; of a long one the beginning
 */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}...`;
}
